using BenchmarkDotNet.Attributes;
using Espalier.Benchmarks.Gate;
using Espalier.Ipsec.Esp;

namespace Espalier.Benchmarks.Crypto;

/// <summary>Seal and open by crypto engine and algorithm: the transform alone, IV and ICV included, without framing, SAD or replay window.</summary>
[MemoryDiagnoser]
public class TransformBenchmarks
{
    private const int HeaderLength = 8;
    private EspTransform _transform = null!;
    private byte[][] _sealed = [];
    private byte[] _work = [];
    private ulong _sequence;

    [ParamsSource(nameof(Transforms))]
    public string Transform { get; set; } = "";

    [ParamsSource(nameof(Sizes))]
    public PacketSize Size { get; set; }

    public static IEnumerable<string> Transforms => Suites.Names;

    public static IEnumerable<PacketSize> Sizes => Workload.Sizes;

    [GlobalSetup]
    public void Setup()
    {
        _transform = Suites.Create(Transform);
        _sealed = [.. Workload.Create(Size).Select(packet => new byte[_transform.Geometry.PacketLength(packet.Length)])];
        for (int i = 0; i < _sealed.Length; i++)
        {
            _sealed[i][HeaderLength - 1] = (byte)(i + 1);
            if (!_transform.TrySeal(_sealed[i], (ulong)i + 1))
            {
                throw new InvalidOperationException($"{Transform} does not seal");
            }
        }

        _work = GC.AllocateArray<byte>(_sealed.Max(packet => packet.Length), pinned: true);
        _sequence = Workload.Packets;
        if (Open() != Workload.Packets)
        {
            throw new InvalidOperationException($"{Transform} does not open what it sealed");
        }
    }

    [GlobalCleanup]
    public void Cleanup() => _transform.Dispose();

    /// <summary>In place, over what the buffer holds.</summary>
    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Seal()
    {
        int count = 0;
        foreach (byte[] packet in _sealed)
        {
            count += _transform.TrySeal(_work.AsSpan(0, packet.Length), ++_sequence & uint.MaxValue) ? 1 : 0;
        }

        return count;
    }

    /// <summary>Of a fresh copy, because opening is in place.</summary>
    [Benchmark(OperationsPerInvoke = Workload.Packets)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Open()
    {
        int count = 0;
        for (int i = 0; i < _sealed.Length; i++)
        {
            var packet = _work.AsSpan(0, _sealed[i].Length);
            _sealed[i].CopyTo(packet);
            count += _transform.TryOpen(packet, (ulong)i + 1) ? 1 : 0;
        }

        return count;
    }
}
