using BenchmarkDotNet.Attributes;
using Espalier.Benchmarks.Gate;

namespace Espalier.Benchmarks.Esp;

/// <summary>AES-128-GCM, ICV of 128 bits: one packet sealed and opened, by engine and size. "Bare" is the engine's cipher on the same bytes.</summary>
[MemoryDiagnoser]
public class EspBenchmarks
{
    private EspScenario _scenario = null!;

    [ParamsSource(nameof(Engines))]
    public string Engine { get; set; } = "";

    [ParamsSource(nameof(Sizes))]
    public PacketSize Size { get; set; }

    public static IEnumerable<string> Engines => Workload.Engines;

    public static IEnumerable<PacketSize> Sizes => Workload.Sizes;

    [GlobalSetup]
    public void Setup() => _scenario = new EspScenario(Workload.Engine(Engine), Size);

    [GlobalCleanup]
    public void Cleanup() => _scenario.Dispose();

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public void SealBare() => _scenario.SealBare();

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public void Seal() => _scenario.Seal();

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public void SealBatch() => _scenario.SealBatch();

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int OpenBare() => _scenario.OpenBare();

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Open() => _scenario.Open();

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int OpenBatch() => _scenario.OpenBatch();
}
