using CsCheck;
using Espalier.Wire.Offload;
using Espalier.Wire.Segmentation;
using Espalier.Wire.Tests.Offload;

namespace Espalier.Wire.Tests.Segmentation;

/// <summary>Whatever stands in a vnet header or a packet: a reason, or segments that fit; never an exception.</summary>
public sealed class HostileSuperPacketTests
{
    private static readonly PacketShape s_tcp = new() { Payload = new byte[100] };
    private static readonly PacketShape s_udp = new() { IsTcp = false, Payload = new byte[100] };
    private static readonly PacketShape s_tcp6 = new() { IsIPv6 = true, ExtensionHeaders = [60], Payload = new byte[100] };

    [Theory]
    [InlineData((byte)0)]
    [InlineData((byte)2)]
    [InlineData((byte)3)]
    [InlineData((byte)6)]
    [InlineData((byte)0x45)]
    public void TryCreate_OtherType_IsUnknown(byte type) =>
        Assert.Equal(SegmentationRefusal.UnknownType, Refusal(s_tcp, header => header with { GsoType = (GsoType)type }));

    [Fact]
    public void TryCreate_HeaderThatContradictsThePacket_SaysWhat()
    {
        Assert.Equal(SegmentationRefusal.NoSegmentSize, Refusal(s_tcp, header => header with { GsoSize = 0 }));
        Assert.Equal(SegmentationRefusal.NoPartialChecksum, Refusal(s_tcp, header => header with { NeedsChecksum = false }));
        Assert.Equal(SegmentationRefusal.MalformedIp, Refusal(s_tcp, header => header with { GsoType = GsoType.TcpV6 }));
        Assert.Equal(SegmentationRefusal.MalformedIp, Refusal(s_tcp6, header => header with { GsoType = GsoType.TcpV4 }));
        Assert.Equal(SegmentationRefusal.ProtocolMismatch, Refusal(s_tcp, header => header with { GsoType = GsoType.UdpL4 }));
        Assert.Equal(SegmentationRefusal.ProtocolMismatch, Refusal(s_udp, header => header with { GsoType = GsoType.TcpV4 }));
        Assert.Equal(SegmentationRefusal.ChecksumMisplaced, Refusal(s_tcp, header => header with { ChecksumStart = 24 }));
        Assert.Equal(SegmentationRefusal.ChecksumMisplaced, Refusal(s_tcp, header => header with { ChecksumOffset = 6 }));
        Assert.Equal(SegmentationRefusal.ChecksumMisplaced, Refusal(s_udp, header => header with { ChecksumOffset = 16 }));
        Assert.Equal(SegmentationRefusal.ChecksumMisplaced, Refusal(s_tcp6, header => header with { ChecksumStart = 40 }));
    }

    [Fact]
    public void TryCreate_PacketThatContradictsItself_SaysWhat()
    {
        Assert.Equal(SegmentationRefusal.MalformedIp, Refusal(s_tcp, packet: bytes => bytes[0] = 0x55));
        Assert.Equal(SegmentationRefusal.MalformedIp, Refusal(s_tcp, packet: bytes => bytes[0] = 0x44));
        Assert.Equal(SegmentationRefusal.MalformedIp, Refusal(s_tcp, packet: bytes => bytes[3]++));
        Assert.Equal(SegmentationRefusal.LengthMismatch, Refusal(s_tcp, packet: bytes => bytes[3]--));
        Assert.Equal(SegmentationRefusal.LengthMismatch, Refusal(s_tcp6, packet: bytes => bytes[5]--));
        Assert.Equal(SegmentationRefusal.LengthMismatch, Refusal(s_udp, packet: bytes => bytes[25]--));
        Assert.Equal(SegmentationRefusal.LengthMismatch, Refusal(s_udp, packet: bytes => bytes[25]++));
        Assert.Equal(SegmentationRefusal.Fragment, Refusal(s_tcp, packet: bytes => bytes[6] |= 0x20));
        Assert.Equal(SegmentationRefusal.Fragment, Refusal(s_tcp, packet: bytes => bytes[7] = 1));
        Assert.Equal(SegmentationRefusal.MalformedTransport, Refusal(s_tcp, packet: bytes => bytes[32] = 0x40));
        Assert.Equal(SegmentationRefusal.MalformedTransport, Refusal(s_tcp with { Payload = [] }, packet: bytes => bytes[32] = 0x60));
        Assert.Equal(SegmentationRefusal.Fragment, Refusal(s_tcp6 with { ExtensionHeaders = [44] }, packet: bytes => (bytes[41], bytes[42], bytes[43]) = (0, 0, 1)));
        Assert.Equal(SegmentationRefusal.MalformedIp, Refusal(s_tcp6, packet: bytes => bytes[41] = 200));
    }

    [Fact]
    public void TryCreate_EveryTruncation_IsRefused()
    {
        foreach (var shape in new[] { s_tcp, s_udp, s_tcp6 })
        {
            byte[] packet = shape.BuildPartial(10, out var header);
            for (int length = 0; length < packet.Length; length++)
            {
                Assert.False(PacketSegmenter.TryCreate(packet.AsSpan(0, length), header, 1500, out _, out var refusal));
                Assert.NotEqual(SegmentationRefusal.None, refusal);
                Assert.Equal(header.ChecksumStart + header.ChecksumOffset + 2 <= length, PartialChecksum.TryComplete([.. packet[..length]], header with { GsoType = GsoType.None }));
            }
        }
    }

    // The length fields follow the cut, so that the headers behind them are what is cut off.
    [Fact]
    public void TryCreate_EveryHonestTruncation_IsRefusedOrCut()
    {
        foreach (var shape in new[] { s_tcp, s_udp, s_tcp6 })
        {
            byte[] whole = shape.BuildPartial(10, out var header);
            for (int length = 40; length < whole.Length; length++)
            {
                byte[] packet = whole[..length];
                packet[shape.IsIPv6 ? 5 : 3] = (byte)(shape.IsIPv6 ? length - 40 : length);
                Check(packet, header, 1500);
            }
        }
    }

    [Fact]
    public void TryCreate_AnythingAtAll_IsRefusedOrCut() =>
        Gen.Select(Shapes.Any(100), Gen.Int[0, int.MaxValue]).Sample(
            (shape, seed) =>
            {
                var random = new Random(seed);
                byte[] packet = shape.BuildPartial(random.Next(1, 60), out var header);
                for (int i = random.Next(4); i > 0; i--)
                {
                    packet[random.Next(Math.Min(packet.Length, 80))] = (byte)(random.Next(2) == 0 ? random.Next(256) : random.Next(8));
                }

                Check(packet[..^random.Next(0, 3)], Change(header, random), random.Next(4) == 0 ? random.Next(200) : 1500);
                Check([.. Enumerable.Range(0, random.Next(100)).Select(_ => (byte)random.Next(256))], Change(header, random), 1500);
            },
            iter: 20_000);

    private static VnetHeader Change(VnetHeader header, Random random) => random.Next(8) switch
    {
        0 => header with { GsoType = (GsoType)random.Next(256) },
        1 => header with { GsoSize = (ushort)random.Next(65_536) },
        2 => header with { ChecksumStart = (ushort)random.Next(random.Next(2) == 0 ? 100 : 65_536) },
        3 => header with { ChecksumOffset = (ushort)random.Next(random.Next(2) == 0 ? 20 : 65_536) },
        4 => header with { HeaderLength = (ushort)random.Next(65_536) },
        5 => header with { NeedsChecksum = false },
        _ => header,
    };

    // Segments come whole and in order: their payloads are the super-packet's.
    private static void Check(byte[] packet, VnetHeader header, int maximum)
    {
        bool completed = PartialChecksum.TryComplete([.. packet], header);
        Assert.True(completed == (header.GsoType == GsoType.None && (!header.NeedsChecksum || header.ChecksumStart + header.ChecksumOffset + 2 <= packet.Length)));
        if (!PacketSegmenter.TryCreate(packet, header, maximum, out var segmenter, out var refusal))
        {
            Assert.NotEqual(SegmentationRefusal.None, refusal);
            return;
        }

        Assert.Equal(SegmentationRefusal.None, refusal);
        byte[] buffer = new byte[segmenter.LargestLength];
        Assert.True(header.GsoType == GsoType.UdpL4 || buffer.Length <= maximum);
        var segments = new List<byte[]>();
        while (segmenter.TryWriteNext(buffer, out int length))
        {
            segments.Add(buffer[..length]);
        }

        // All but one header are what the segments have more than the super-packet.
        int more = segments.Sum(segment => segment.Length) - packet.Length;
        if (segments.Count == 1)
        {
            Assert.Equal(0, more);
            return;
        }

        int headers = more / (segments.Count - 1);
        Assert.Equal(more, headers * (segments.Count - 1));
        PacketAssert.Equal(packet[headers..], [.. segments.SelectMany(segment => segment[headers..])]);
    }

    private static SegmentationRefusal Refusal(PacketShape shape, Func<VnetHeader, VnetHeader>? change = null, Action<byte[]>? packet = null)
    {
        byte[] bytes = shape.BuildPartial(10, out var header);
        Assert.True(PacketSegmenter.TryCreate(bytes, header, 1500, out _, out _) || shape.ExtensionHeaders.Contains((byte)44));
        packet?.Invoke(bytes);
        Assert.False(PacketSegmenter.TryCreate(bytes, change?.Invoke(header) ?? header, 1500, out var segmenter, out var refusal));
        Assert.Equal(0, segmenter.Count);
        return refusal;
    }
}
