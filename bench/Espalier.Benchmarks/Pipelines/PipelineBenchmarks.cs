using BenchmarkDotNet.Attributes;
using Espalier.Benchmarks.Gate;

namespace Espalier.Benchmarks.Pipelines;

/// <summary>
/// A packet's whole way through one host over devices in memory, AES-128-GCM, in two designs. <c>Pooled</c> is Espalier's; <c>LibipsecStyle</c> is that of
/// strongSwan's libipsec in C# with the same crypto engine, so that the ratio is that of the designs. What both share, devices included, is in both.
/// </summary>
[MemoryDiagnoser]
public abstract class PipelineBenchmarks
{
    [ParamsSource(nameof(Engines))]
    public string Engine { get; set; } = "";

    [ParamsSource(nameof(Sizes))]
    public PacketSize Size { get; set; }

    public static IEnumerable<string> Engines => Workload.Engines;

    public static IEnumerable<PacketSize> Sizes => Workload.Sizes;

    private protected PipelineRun Run { get; private set; } = null!;

    [GlobalSetup(Target = nameof(OutboundBenchmarks.Pooled))]
    public void SetupPooled() => Run = new PipelineRun(place => new PooledHost(place, Workload.Engine(Engine)), Workload.Engine(Engine), Workload.Create(Size));

    [GlobalSetup(Target = nameof(OutboundBenchmarks.LibipsecStyle))]
    public void SetupLibipsecStyle() =>
        Run = new PipelineRun(place => new LibipsecStyleHost(place, Workload.Engine(Engine)), Workload.Engine(Engine), Workload.Create(Size));

    [GlobalCleanup]
    public void Cleanup() => Run.Dispose();
}

/// <summary>From the TUN to the socket.</summary>
public class OutboundBenchmarks : PipelineBenchmarks
{
    [Benchmark(Baseline = true, OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public void Pooled() => Run.Outbound();

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    public void LibipsecStyle() => Run.Outbound();
}

/// <summary>From the socket to the TUN.</summary>
public class InboundBenchmarks : PipelineBenchmarks
{
    [Benchmark(Baseline = true, OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public void Pooled() => Run.Inbound();

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    public void LibipsecStyle() => Run.Inbound();
}
