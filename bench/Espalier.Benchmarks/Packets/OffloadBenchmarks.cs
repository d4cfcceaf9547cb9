using System.Buffers.Binary;
using BenchmarkDotNet.Attributes;
using Espalier.Benchmarks.Gate;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;
using Espalier.Wire.Coalescing;
using Espalier.Wire.Offload;
using Espalier.Wire.Packets;
using Espalier.Wire.Segmentation;

namespace Espalier.Benchmarks.Packets;

/// <summary>A super-packet of TCP cut into segments, and the segments joined again; the figures are for one segment.</summary>
[MemoryDiagnoser]
public class OffloadBenchmarks
{
    private const int Segments = 7;
    private const int Slot = 9_216;
    private const int Headers = 40;
    private readonly byte[] _cut = new byte[Segments * Slot];
    private readonly byte[] _work = new byte[Segments * Slot];
    private readonly PacketRange[] _ranges = new PacketRange[Segments];
    private readonly PacketCoalescer _coalescer = new(Segments, joinUdp: true);
    private byte[] _super = [];
    private VnetHeader _header;

    /// <summary>Of a segment, bytes.</summary>
    [ParamsSource(nameof(Sizes))]
    public int Size { get; set; }

    public static IEnumerable<int> Sizes => Workload.IsGate ? [1_400] : [64, 576, 1_400, 9_000];

    [GlobalSetup]
    public void Setup()
    {
        int payload = Size - Headers;
        _super = new byte[Headers + (Segments * payload)];
        var (source, destination) = (InternetAddress.Parse("10.1.0.1"), InternetAddress.Parse("10.2.0.1"));
        PacketWriter.WriteIPv4(_super, source, destination, IpProtocol.Tcp, _super.Length - 20, 0, 0);
        BinaryPrimitives.WriteUInt32BigEndian(_super.AsSpan(20), 0x1234_5678);
        _super[32] = 0x50;
        _super[33] = 0x10;
        ulong partial = InternetChecksum.SumPseudoHeader(source, destination, IpProtocol.Tcp, _super.Length - 20);
        BinaryPrimitives.WriteUInt16BigEndian(_super.AsSpan(36), InternetChecksum.Fold(partial));
        _header = new VnetHeader
        {
            NeedsChecksum = true,
            GsoType = GsoType.TcpV4,
            HeaderLength = Headers,
            GsoSize = (ushort)payload,
            ChecksumStart = 20,
            ChecksumOffset = 16,
        };
        int segments = Segment(), runs = Coalesce();
        if (segments != Segments || runs != 1)
        {
            throw new InvalidOperationException($"{segments} segments, {runs} super-packets of them");
        }
    }

    [Benchmark(OperationsPerInvoke = Segments)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Segment()
    {
        int count = 0;
        if (PacketSegmenter.TryCreate(_super, _header, Size, out var segmenter, out _))
        {
            while (count < segmenter.Count && segmenter.TryWriteNext(_cut.AsSpan(count * Slot, Slot), out _))
            {
                count++;
            }
        }

        return count;
    }

    /// <summary>Of a fresh copy, because the first packet's headers are changed.</summary>
    [Benchmark(OperationsPerInvoke = Segments)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Coalesce()
    {
        _cut.CopyTo(_work, 0);
        _coalescer.Clear();
        for (int i = 0; i < Segments; i++)
        {
            _coalescer.TryAdd(_work, i * Slot, Size);
        }

        for (int run = 0; run < _coalescer.Count; run++)
        {
            _coalescer.Complete(run, _work, _ranges, out _);
        }

        return _coalescer.Count;
    }
}
