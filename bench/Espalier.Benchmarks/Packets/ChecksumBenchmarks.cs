using BenchmarkDotNet.Attributes;
using Espalier.Benchmarks.Gate;
using Espalier.Wire.Checksums;

namespace Espalier.Benchmarks.Packets;

/// <summary>The Internet checksum over a packet.</summary>
[MemoryDiagnoser]
public class ChecksumBenchmarks
{
    private byte[][] _packets = [];

    [ParamsSource(nameof(Sizes))]
    public PacketSize Size { get; set; }

    public static IEnumerable<PacketSize> Sizes => Workload.Sizes;

    [GlobalSetup]
    public void Setup() => _packets = Workload.Create(Size);

    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Compute()
    {
        int sum = 0;
        foreach (byte[] packet in _packets)
        {
            sum += InternetChecksum.Compute(packet);
        }

        return sum;
    }
}
