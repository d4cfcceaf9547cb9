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

/// <summary>
/// Super-packets of TCP cut into segments, and the segments joined again; the figures are for one segment. The segments of a super-packet are equal: an IMIX is
/// a flow for each of its sizes, whose segments arrive in the order of the mix, so that what is joined is never its neighbour's.
/// </summary>
[MemoryDiagnoser]
public class OffloadBenchmarks
{
    // A super-packet of 64 KiB holds no more of 9,000 bytes. An operation is twelve rounds of seven segments, or seven of the twelve packets of an IMIX.
    private const int Equal = 7, Mixed = 12, Segments = Equal * Mixed;
    private const int Slot = 9_216;
    private const int Headers = 40;
    private readonly byte[] _cut = new byte[Mixed * Slot];
    private readonly byte[] _work = new byte[Mixed * Slot];
    private readonly PacketRange[] _ranges = new PacketRange[Mixed];
    private readonly PacketCoalescer _coalescer = new(Mixed, joinUdp: true);
    private Flow[] _flows = [];
    private PacketRange[] _arriving = [];
    private int _rounds;

    /// <summary>Of a segment, bytes.</summary>
    [ParamsSource(nameof(Sizes))]
    public PacketSize Size { get; set; }

    public static IEnumerable<PacketSize> Sizes => Workload.Sizes;

    [GlobalSetup]
    public void Setup()
    {
        int[] lengths = [.. Workload.Lengths(Size, Size == PacketSize.Imix ? Mixed : Equal)];
        _rounds = Segments / lengths.Length;
        int slot = 0;
        var slots = new Dictionary<int, int>();
        _flows = [.. lengths.CountBy(length => length).Select(size =>
        {
            slots[size.Key] = slot;
            slot += size.Value;
            return new Flow(slots[size.Key], size.Key, Super(size.Key - Headers, size.Value), Header(size.Key - Headers));
        })];
        _arriving = [.. lengths.Select(length => new PacketRange(slots[length]++ * Slot, length))];
        int segments = Segment(), runs = Coalesce();
        if (segments != Segments || runs != _flows.Length * _rounds)
        {
            throw new InvalidOperationException($"{segments} segments, {runs} super-packets of them");
        }
    }

    [Benchmark(OperationsPerInvoke = Segments)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Segment()
    {
        int count = 0;
        for (int round = 0; round < _rounds; round++)
        {
            foreach (var flow in _flows)
            {
                int slot = flow.FirstSlot;
                if (!PacketSegmenter.TryCreate(flow.Super, flow.Header, flow.SegmentLength, out var segmenter, out _))
                {
                    continue;
                }

                for (int i = 0; i < segmenter.Count && segmenter.TryWriteNext(_cut.AsSpan(slot * Slot, Slot), out _); i++)
                {
                    slot++;
                    count++;
                }
            }
        }

        return count;
    }

    /// <summary>Of fresh copies, because the first packet's headers are changed.</summary>
    [Benchmark(OperationsPerInvoke = Segments)]
    [BenchmarkCategory(AllocationGate.HotPath)]
    public int Coalesce()
    {
        int count = 0;
        for (int round = 0; round < _rounds; round++)
        {
            _coalescer.Clear();
            foreach (var packet in _arriving)
            {
                _cut.AsSpan(packet.Offset, packet.Length).CopyTo(_work.AsSpan(packet.Offset));
                _coalescer.TryAdd(_work, packet.Offset, packet.Length);
            }

            for (int run = 0; run < _coalescer.Count; run++)
            {
                _coalescer.Complete(run, _work, _ranges, out _);
            }

            count += _coalescer.Count;
        }

        return count;
    }

    // From a port of its own for each size, with a partial checksum as the kernel leaves it.
    private static byte[] Super(int payload, int segments)
    {
        byte[] super = new byte[Headers + (segments * payload)];
        var (source, destination) = (InternetAddress.Parse("10.1.0.1"), InternetAddress.Parse("10.2.0.1"));
        PacketWriter.WriteIPv4(super, source, destination, IpProtocol.Tcp, super.Length - 20, 0, 0);
        BinaryPrimitives.WriteUInt16BigEndian(super.AsSpan(20), (ushort)payload);
        BinaryPrimitives.WriteUInt16BigEndian(super.AsSpan(22), 5201);
        super[32] = 0x50;
        super[33] = 0x10;
        ulong partial = InternetChecksum.SumPseudoHeader(source, destination, IpProtocol.Tcp, super.Length - 20);
        BinaryPrimitives.WriteUInt16BigEndian(super.AsSpan(36), InternetChecksum.Fold(partial));
        return super;
    }

    private static VnetHeader Header(int payload) => new()
    {
        NeedsChecksum = true,
        GsoType = GsoType.TcpV4,
        HeaderLength = Headers,
        GsoSize = (ushort)payload,
        ChecksumStart = 20,
        ChecksumOffset = 16,
    };

    /// <summary>A super-packet, and where its segments go.</summary>
    private sealed record Flow(int FirstSlot, int SegmentLength, byte[] Super, VnetHeader Header);
}
