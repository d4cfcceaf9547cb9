using CsCheck;
using Espalier.Wire.Coalescing;
using Espalier.Wire.Offload;
using Espalier.Wire.Packets;
using Espalier.Wire.Segmentation;
using Espalier.Wire.Tests.Offload;
using Espalier.Wire.Tests.Segmentation;

namespace Espalier.Wire.Tests.Coalescing;

/// <summary>Segmenting and coalescing are each other's inverse, whatever happens to the packets on the way.</summary>
public sealed class CoalescingProperties
{
    [Fact]
    public void Complete_AnyTraffic_IsTheModelsRunsAndSegmentsBackToThePackets() =>
        Gen.Select(Gen.Int[0, int.MaxValue], Gen.Int[1, 24]).Sample(
            (seed, count) => Check(new Traffic(new Random(seed)).Packets(count)), iter: 50_000);

    // Long enough for runs that reach 64 datagrams or 65,535 bytes.
    [Fact]
    public void Complete_LongTraffic_IsTheModelsRunsAndSegmentsBackToThePackets() =>
        Gen.Int[0, int.MaxValue].Sample(seed => Check(new Traffic(new Random(seed)).Packets(300)), iter: 150);

    // What one TUN's kernel gave us to cut, the other's gets back.
    [Fact]
    public void Complete_SegmentsOfASuperPacket_IsTheSuperPacket() =>
        Gen.Select(Shapes.Any(600), Gen.Int[1, 300], Gen.Int[0, 3]).Sample(
            (shape, size, ending) =>
            {
                // Options, CWR and URG end runs; a Routing header with segments left hides the destination.
                shape = shape with { Options = [], SegmentsLeft = 0, Flags = (byte)(0x10 | (ending & 1) | ((ending & 2) << 2)), Payload = [.. shape.Payload, 1] };
                size = Math.Max(size, shape.IsTcp ? 1 : shape.Payload.Length / 64 + 1);
                var segments = PacketSegmenterTests.Segments(shape, size, 65_535);
                var written = Assert.Single(new CoalescedBatch(new PacketCoalescer(segments.Count, joinUdp: true), segments).Runs);
                bool isOne = segments.Count == 1;
                VnetHeader header = default;
                PacketAssert.Equal(isOne ? shape.Build() : shape.BuildPartial(size, out header), written.Bytes);
                Assert.Equal(header, written.Header);
            },
            iter: 20_000);

    // The bytes that TCP delivers are the same with and without coalescing.
    private static void Check(List<byte[]> packets)
    {
        var model = new NaiveCoalescer();
        packets.ForEach(model.Add);
        var batch = new CoalescedBatch(new PacketCoalescer(packets.Count, joinUdp: true), packets);
        Assert.Equal(Text(model.Runs), Text(batch.Runs.Select(run => run.Packets)));
        Assert.True(Enumerable.Range(0, packets.Count).SequenceEqual(batch.Runs.SelectMany(run => run.Packets).Order()));
        foreach (var flow in batch.Runs.SelectMany(run => run.Packets).GroupBy(number => NaiveCoalescer.FlowOf(packets[number])))
        {
            Assert.True(flow.Key is null || flow.SequenceEqual(flow.Order()));
        }

        foreach (var run in batch.Runs)
        {
            Assert.InRange(run.Bytes.Length, 0, 65_535);
            PacketAssert.Equal([.. run.Packets.Select(number => packets[number])], SegmentsOf(run, packets));
        }
    }

    private static string Text(IEnumerable<List<int>> runs) => string.Join(" | ", runs.Select(run => string.Join(' ', run)));

    private static List<byte[]> SegmentsOf(CoalescedBatch.Written run, List<byte[]> packets)
    {
        if (run.Packets.Count == 1)
        {
            Assert.Equal(default, run.Header);
            return [run.Bytes];
        }

        Assert.True(PacketSegmenter.TryCreate(run.Bytes, run.Header, 65_535, out var segmenter, out var refusal), refusal.ToString());
        var segments = new List<byte[]>();
        byte[] buffer = new byte[segmenter.LargestLength];
        while (segmenter.TryWriteNext(buffer, out int length))
        {
            byte[] segment = buffer[..length];
            segments.Add(segment);

            // With DF the identification has no meaning (RFC 6864 §4.1) and a fixed one cannot be told to a TUN: it comes back counting.
            byte[] original = packets[run.Packets[segments.Count - 1]];
            if (segment[0] >> 4 == 4 && (segment[6] & 0x40) != 0)
            {
                original.AsSpan(4, 2).CopyTo(segment.AsSpan(4));
                PacketWriter.WriteIPv4Checksum(segment.AsSpan(0, 20));
            }
        }

        return segments;
    }
}
