using BenchmarkDotNet.Attributes;
using Espalier.Benchmarks.Gate;
using Espalier.Ipsec.Sad;

namespace Espalier.Benchmarks.Tables;

/// <summary>Check and commit of one packet in the replay window: packets in order, and each pair of neighbours swapped.</summary>
[MemoryDiagnoser]
public class ReplayWindowBenchmarks
{
    private const int Numbers = 1_024;
    private ReplayWindow _window = null!;

    [ParamsSource(nameof(WindowSizes))]
    public int WindowSize { get; set; }

    public static IEnumerable<int> WindowSizes => Workload.IsGate ? [128] : [32, 128, 4_096];

    [GlobalSetup]
    public void Setup() => _window = new ReplayWindow(WindowSize, false);

    [Benchmark(OperationsPerInvoke = Numbers)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int InOrder() => Take(0);

    [Benchmark(OperationsPerInvoke = Numbers)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Swapped() => Take(1);

    private int Take(uint swap)
    {
        int accepted = 0;
        _window.Restore(0, []);
        for (uint i = 0; i < Numbers; i++)
        {
            if (_window.Check((i ^ swap) + 1, out ulong sequence) == ReplayVerdict.Acceptable)
            {
                accepted += _window.Commit(sequence) == ReplayVerdict.Acceptable ? 1 : 0;
            }
        }

        return accepted;
    }
}
