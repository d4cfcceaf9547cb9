using System.Buffers.Binary;
using CsCheck;
using Espalier.Testing;
using Espalier.Wire.Checksums;
using Espalier.Wire.Offload;
using Espalier.Wire.Segmentation;
using Espalier.Wire.Tests.Offload;

namespace Espalier.Wire.Tests.Segmentation;

/// <summary>Super-packets against the plain model; that the model is what the kernel does, KernelSegmentationTests of Espalier.Io.Tests shows.</summary>
[Collection(nameof(AllocationCollection))]
public sealed class PacketSegmenterTests
{
    private const int NoMaximum = 65_535;

    [Fact]
    public void TryWriteNext_AnySuperPacket_GivesTheModelsSegments() =>
        Gen.Select(Shapes.Any(600), Gen.Int[1, 300]).Sample(
            (shape, size) => PacketAssert.Equal([.. shape.Segment(size).Select(segment => segment.Build())], Segments(shape, size, NoMaximum)), iter: 20_000);

    [Theory]
    [InlineData(false, true, 1448)]
    [InlineData(true, true, 1428)]
    [InlineData(false, false, 1300)]
    [InlineData(true, false, 1300)]
    [InlineData(false, true, 9)]
    public void TryWriteNext_LargestSuperPacket_GivesTheModelsSegments(bool isIPv6, bool isTcp, int size)
    {
        var shape = new PacketShape { IsIPv6 = isIPv6, IsTcp = isTcp, Identification = 0xFFF0, Sequence = 0xFFFF_FF00, Flags = 0xD9, TcpOptions = Shapes.Timestamps };
        byte[] payload = new byte[65_535 - shape.HeaderLength];
        new Random(1).NextBytes(payload);
        shape = shape with { Payload = payload };
        PacketAssert.Equal([.. shape.Segment(size).Select(segment => segment.Build())], Segments(shape, size, NoMaximum));
    }

    // A path MTU below the TUN's: the same bytes in more and smaller segments.
    [Fact]
    public void TryWriteNext_MaximumBelowTheSegmentSize_CutsTcpSmallerAndUdpNot() =>
        Gen.Select(Shapes.Any(600), Gen.Int[1, 300], Gen.Int[150, 500]).Sample(
            (shape, size, maximum) =>
            {
                int expected = shape.IsTcp ? Math.Min(size, maximum - shape.HeaderLength) : size;
                var segments = Segments(shape, size, maximum);
                PacketAssert.Equal([.. shape.Segment(expected).Select(segment => segment.Build())], segments);
                Assert.True(!shape.IsTcp || segments.All(segment => segment.Length <= maximum));
            },
            iter: 5_000);

    [Theory]
    [InlineData(true, 72, SegmentationRefusal.NoRoom)]
    [InlineData(true, 73, SegmentationRefusal.None)]
    [InlineData(true, -1, SegmentationRefusal.NoRoom)]
    [InlineData(false, 0, SegmentationRefusal.None)]
    public void TryCreate_MaximumOfTheHeaders_LeavesNoRoomForTcp(bool isTcp, int maximum, SegmentationRefusal expected)
    {
        var shape = new PacketShape { IsIPv6 = true, IsTcp = isTcp, TcpOptions = Shapes.Timestamps, Payload = new byte[100] };
        byte[] packet = shape.BuildPartial(50, out var header);
        Assert.Equal(expected == SegmentationRefusal.None, PacketSegmenter.TryCreate(packet, header, maximum, out var segmenter, out var refusal));
        Assert.Equal(expected, refusal);
        Assert.Equal(expected == SegmentationRefusal.None ? isTcp ? 100 : 2 : 0, segmenter.Count);
    }

    // RFC 3168 §6.1.2, and the kernel's tcp_gso_segment for FIN and PSH.
    [Fact]
    public void TryWriteNext_AllFlags_CwrIsOfTheFirstAndFinAndPshAreOfTheLast()
    {
        var flags = Segments(new PacketShape { Flags = 0xFF, Payload = new byte[30] }, 10, NoMaximum).Select(segment => segment[33]);
        Assert.Equal([0xF6, 0x76, 0x7F], flags);
    }

    [Fact]
    public void TryWriteNext_PayloadOfOneSegment_IsThePacketItself()
    {
        var shape = new PacketShape { Flags = 0xFF, Payload = new byte[30] };
        PacketAssert.Equal([shape.Build()], Segments(shape, 30, NoMaximum));
        PacketAssert.Equal([shape.Build()], Segments(shape, 31, NoMaximum));
        shape = shape with { Payload = [] };
        PacketAssert.Equal([shape.Build()], Segments(shape, 1, NoMaximum));
    }

    // RFC 8200 §8.1: the pseudo header has the final destination, which the IP header does not have yet.
    [Fact]
    public void TryWriteNext_RoutingHeaderWithSegmentsLeft_KeepsThePseudoHeader()
    {
        var shape = new PacketShape { IsIPv6 = true, ExtensionHeaders = [0, 43], SegmentsLeft = 1, Payload = [.. Enumerable.Range(0, 100).Select(i => (byte)i)] };
        PacketAssert.Equal([.. shape.Segment(30).Select(segment => segment.Build())], Segments(shape, 30, NoMaximum));
    }

    // RFC 768: 0 would mean that there is none.
    [Fact]
    public void TryWriteNext_UdpChecksumOfZero_IsAllOnes()
    {
        var shape = new PacketShape { IsTcp = false, Payload = [1, 2, 3, 4, 0, 0, 7, 8] };
        var second = shape with { Payload = [0, 0, 7, 8] };
        byte[] built = second.Build();
        second.Payload[0] = built[26];
        second.Payload[1] = built[27];
        second.Payload.CopyTo(shape.Payload, 4);
        byte[] segment = Segments(shape, 4, NoMaximum)[1];
        Assert.Equal((0xFF, 0xFF), (segment[26], segment[27]));
    }

    [Fact]
    public void TryWriteNext_Segments_AllocateNothing()
    {
        byte[] packet = new PacketShape { Payload = new byte[60_000] }.BuildPartial(1448, out var header);
        byte[] buffer = new byte[1500];
        Run();
        int count = 0, rounds = 0;
        long allocated = Allocation.Least(() =>
        {
            rounds++;
            for (int i = 0; i < 100; i++)
            {
                count += Run();
            }
        });

        Assert.Equal(0, allocated);
        Assert.Equal(4200 * rounds, count);

        int Run()
        {
            Assert.True(PacketSegmenter.TryCreate(packet, header, 1500, out var segmenter, out _));
            int written = 0;
            while (segmenter.TryWriteNext(buffer, out _))
            {
                written++;
            }

            return written;
        }
    }

    [Fact]
    public void TryComplete_AnyPacketWithPartialChecksum_IsTheModelsPacket() =>
        Shapes.Any(300).Sample(
            shape =>
            {
                byte[] packet = shape.BuildPartial(0, out var header);
                byte[] expected = shape.Build();

                // skb_checksum_help: a computed 0 is all ones, in TCP too.
                var field = expected.AsSpan(header.ChecksumStart + header.ChecksumOffset, 2);
                if (field is [0, 0])
                {
                    field.Fill(0xFF);
                }

                Assert.True(PartialChecksum.TryComplete(packet, header));
                PacketAssert.Equal(expected, packet);
                Assert.True(PartialChecksum.TryComplete(packet, default));
                PacketAssert.Equal(expected, packet);
            },
            iter: 5_000);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void TryComplete_ComputedZero_IsAllOnes(bool isTcp)
    {
        // What is added to make the sum of all words 0xFFFF stands in the payload.
        var shape = new PacketShape { IsTcp = isTcp, Payload = new byte[2] };
        byte[] packet = shape.BuildPartial(0, out var header);
        int field = header.ChecksumStart + header.ChecksumOffset;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(packet.Length - 2), InternetChecksum.Compute(packet.AsSpan(header.ChecksumStart)));
        Assert.Equal(0, InternetChecksum.Compute(packet.AsSpan(header.ChecksumStart)));
        Assert.True(PartialChecksum.TryComplete(packet, header));
        Assert.Equal(0xFFFF, BinaryPrimitives.ReadUInt16BigEndian(packet.AsSpan(field)));
    }

    [Theory]
    [InlineData(0, 0, true)]
    [InlineData(20, 16, true)]
    [InlineData(40, 8, true)]
    [InlineData(40, 9, false)]
    [InlineData(49, 0, false)]
    [InlineData(50, 0, false)]
    [InlineData(65_535, 65_535, false)]
    public void TryComplete_FieldPastThePacket_IsRefused(ushort start, ushort offset, bool accepted)
    {
        byte[] packet = new PacketShape { Payload = new byte[10] }.Build();
        byte[] before = [.. packet];
        var header = new VnetHeader { NeedsChecksum = true, ChecksumStart = start, ChecksumOffset = offset };
        Assert.Equal(accepted, PartialChecksum.TryComplete(packet, header));
        Assert.Equal(accepted, !before.AsSpan().SequenceEqual(packet));
        Assert.False(PartialChecksum.TryComplete(packet, header with { GsoType = GsoType.TcpV4 }));
    }

    internal static List<byte[]> Segments(PacketShape shape, int size, int maximum)
    {
        byte[] packet = shape.BuildPartial(size, out var header);
        Assert.True(PacketSegmenter.TryCreate(packet, header, maximum, out var segmenter, out var refusal), refusal.ToString());
        byte[] buffer = new byte[segmenter.LargestLength];
        int count = segmenter.Count;
        var segments = new List<byte[]>();
        while (segmenter.TryWriteNext(buffer, out int length))
        {
            segments.Add(buffer[..length]);
            buffer.AsSpan().Fill(0xEE);
        }

        Assert.False(segmenter.TryWriteNext(buffer, out _));
        Assert.Equal(count, segments.Count);
        Assert.Equal(segments.Max(segment => segment.Length), buffer.Length);
        return segments;
    }
}
