using BenchmarkDotNet.Attributes;
using Espalier.Crypto;

namespace Espalier.Benchmarks.Esp;

/// <summary>AES-128-GCM, ICV of 128 bits: one packet sealed and opened, by engine and size. "Bare" is the engine's cipher on the same bytes.</summary>
[MemoryDiagnoser]
public class EspBenchmarks
{
    private EspScenario _scenario = null!;

    [ParamsSource(nameof(Engines))]
    public string Engine { get; set; } = "";

    [Params(64, 576, 1_400, 9_000)]
    public int Size { get; set; }

    public static IEnumerable<string> Engines => CryptoEngines.Survey().Where(found => found.Engine is not null).Select(found => found.Name);

    [GlobalSetup]
    public void Setup()
    {
        var choice = CryptoEngines.Choose(Engine);
        _scenario = new EspScenario(choice.Refused is null ? choice.Engine : throw new InvalidOperationException(choice.Refused), Size);
    }

    [GlobalCleanup]
    public void Cleanup() => _scenario.Dispose();

    [Benchmark(OperationsPerInvoke = EspScenario.Packets)]
    public void SealBare() => _scenario.SealBare();

    [Benchmark(OperationsPerInvoke = EspScenario.Packets)]
    public void Seal() => _scenario.Seal();

    [Benchmark(OperationsPerInvoke = EspScenario.Packets)]
    public void SealBatch() => _scenario.SealBatch();

    [Benchmark(OperationsPerInvoke = EspScenario.Packets)]
    public int OpenBare() => _scenario.OpenBare();

    [Benchmark(OperationsPerInvoke = EspScenario.Packets)]
    public int Open() => _scenario.Open();

    [Benchmark(OperationsPerInvoke = EspScenario.Packets)]
    public int OpenBatch() => _scenario.OpenBatch();
}
