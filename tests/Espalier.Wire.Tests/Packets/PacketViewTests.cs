using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Packets;

public sealed class PacketViewTests
{
    [Fact]
    public void IPv4TryParse_CapturedEcho_ReadsEveryField()
    {
        Assert.True(IPv4Packet.TryParse(Captures.EchoRequest4, out var packet));
        Assert.Equal(20, packet.HeaderLength);
        Assert.Equal(52, packet.TotalLength);
        Assert.Equal(0, packet.TrafficClass);
        Assert.Equal(0xBD5A, packet.Identification);
        Assert.True(packet.DontFragment);
        Assert.False(packet.MoreFragments);
        Assert.Equal(0, packet.FragmentOffset);
        Assert.False(packet.IsFragment);
        Assert.Equal(64, packet.TimeToLive);
        Assert.Equal(IpProtocol.Icmp, packet.Protocol);
        Assert.Equal(0x6958, packet.HeaderChecksum);
        Assert.True(packet.HasValidChecksum);
        Assert.Equal(Captures.HostA4, packet.Source);
        Assert.Equal(Captures.HostB4, packet.Destination);
        Assert.Equal(20, packet.Header.Length);
        Assert.True(packet.Options.IsEmpty);
        Assert.Equal(32, packet.Payload.Length);
    }

    [Fact]
    public void IPv4TryParse_CapturedOptionsAndFragments_ReadsThem()
    {
        Assert.True(IPv4Packet.TryParse(Captures.WithRouterAlertPieces[1], out var packet));
        Assert.Equal(24, packet.HeaderLength);
        Assert.Equal([0x94, 0x04, 0x00, 0x00], packet.Options.ToArray());
        Assert.Equal(0x9D * 8, packet.FragmentOffset);
        Assert.True(packet.IsFragment);
        Assert.False(packet.MoreFragments);
        Assert.Equal(63, packet.TimeToLive);
        Assert.True(packet.HasValidChecksum);
    }

    [Fact]
    public void IPv4TryParse_BufferLongerThanPacket_ViewEndsAtTotalLength()
    {
        byte[] buffer = [.. Captures.EchoRequest4, 1, 2, 3];
        Assert.True(IPv4Packet.TryParse(buffer, out var packet));
        Assert.Equal(52, packet.Bytes.Length);
    }

    [Theory]
    [InlineData("", "nothing")]
    [InlineData("4500001400000000400100000a01000a0a0200", "19 bytes")]
    [InlineData("5500001400000000400100000a01000a0a02000a", "version 5")]
    [InlineData("6500001400000000400100000a01000a0a02000a", "version 6")]
    [InlineData("4400001400000000400100000a01000a0a02000a", "header of 16 bytes")]
    [InlineData("4600001400000000400100000a01000a0a02000a", "header longer than packet")]
    [InlineData("4500001300000000400100000a01000a0a02000a", "total length under header length")]
    [InlineData("4500001500000000400100000a01000a0a02000a", "total length over buffer")]
    [InlineData("4500000000000000400100000a01000a0a02000a", "total length 0")]
    public void IPv4TryParse_Malformed_IsRefused(string hex, string why) =>
        Assert.False(IPv4Packet.TryParse(Captures.Hex(hex), out _), why);

    [Fact]
    public void IPv4TryParse_HeaderWithoutPayload_IsAccepted()
    {
        Assert.True(IPv4Packet.TryParse(Captures.Hex("4500001400000000400100000a01000a0a02000a"), out var packet));
        Assert.True(packet.Payload.IsEmpty);
        Assert.False(packet.HasValidChecksum);
    }

    [Fact]
    public void IPv6TryParse_CapturedEcho_ReadsEveryField()
    {
        Assert.True(IPv6Packet.TryParse(Captures.EchoRequest6, out var packet));
        Assert.Equal(72, packet.TotalLength);
        Assert.Equal(0, packet.TrafficClass);
        Assert.Equal(0xFB755, packet.FlowLabel);
        Assert.Equal(IpProtocol.IcmpV6, packet.NextHeader);
        Assert.Equal(64, packet.HopLimit);
        Assert.Equal(Captures.HostA6, packet.Source);
        Assert.Equal(Captures.HostB6, packet.Destination);
        Assert.Equal(32, packet.Payload.Length);
    }

    [Fact]
    public void IPv6TrafficClass_AcrossTheNibble_IsRead()
    {
        byte[] bytes = Captures.EchoRequest6;
        bytes[0] = 0x6B;
        bytes[1] = 0x8F;
        Assert.True(IPv6Packet.TryParse(bytes, out var packet));
        Assert.Equal(0xB8, packet.TrafficClass);
        Assert.Equal(0xFB755, packet.FlowLabel);
    }

    [Fact]
    public void IPv6TryParse_Malformed_IsRefused()
    {
        Assert.False(IPv6Packet.TryParse([], out _));
        for (int length = 0; length < Captures.EchoRequest6.Length; length++)
        {
            Assert.False(IPv6Packet.TryParse(Captures.EchoRequest6.AsSpan(0, length), out _), $"cut off at {length}");
        }

        byte[] bytes = Captures.EchoRequest6;
        bytes[0] = 0x40;
        Assert.False(IPv6Packet.TryParse(bytes, out _), "version 4");
        bytes = Captures.EchoRequest6;
        bytes[5]++;
        Assert.False(IPv6Packet.TryParse(bytes, out _), "payload over buffer");
    }

    [Fact]
    public void TcpTryParse_CapturedSyn_ReadsEveryField()
    {
        Assert.True(TcpSegment.TryParse(Captures.TcpSyn.AsSpan(20), out var segment));
        Assert.Equal(49700, segment.SourcePort);
        Assert.Equal(7, segment.DestinationPort);
        Assert.Equal(0xFFAE9A6Bu, segment.SequenceNumber);
        Assert.Equal(0u, segment.AcknowledgmentNumber);
        Assert.Equal(40, segment.HeaderLength);
        Assert.Equal(0x02, segment.Flags);
        Assert.Equal(64240, segment.Window);
        Assert.Equal(0x84EA, segment.Checksum);
        Assert.Equal(20, segment.Options.Length);
        Assert.True(segment.Payload.IsEmpty);
    }

    [Fact]
    public void TcpTryParse_CutOffOrBadOffset_IsRefused()
    {
        byte[] bytes = Captures.TcpSyn[20..];
        Assert.False(TcpSegment.TryParse(bytes.AsSpan(0, 19), out _));
        Assert.False(TcpSegment.TryParse(bytes.AsSpan(0, 39), out _));
        bytes[12] = 0x40;
        Assert.False(TcpSegment.TryParse(bytes, out _));
    }

    [Fact]
    public void UdpTryParse_CapturedDatagram_ReadsEveryField()
    {
        Assert.True(UdpDatagram.TryParse(Captures.UdpBehindOptions6.AsSpan(56), out var datagram));
        Assert.Equal(4661, datagram.SourcePort);
        Assert.Equal(9, datagram.DestinationPort);
        Assert.Equal(13, datagram.Length);
        Assert.Equal(0x4E2F, datagram.Checksum);
        Assert.Equal("hello"u8.ToArray(), datagram.Payload.ToArray());
    }

    [Theory]
    [InlineData("12350009000d4e", "7 bytes")]
    [InlineData("1235000900074e2f", "length 7")]
    [InlineData("1235000900094e2f", "length over buffer")]
    public void UdpTryParse_Malformed_IsRefused(string hex, string why) => Assert.False(UdpDatagram.TryParse(Captures.Hex(hex), out _), why);

    // RFC 768: 0 = no checksum; RFC 8200 §8.1: over IPv6 there must be one.
    [Fact]
    public void UdpHasValidChecksum_Zero_OnlyOverIPv4()
    {
        Assert.True(UdpDatagram.TryParse(Captures.Hex("1235000900080000"), out var datagram));
        Assert.True(datagram.HasValidChecksum(Captures.HostA4, Captures.HostB4));
        Assert.False(datagram.HasValidChecksum(Captures.HostA6, Captures.HostB6));
    }

    [Fact]
    public void IcmpTryParse_CapturedErrors_ReadsMtu()
    {
        Assert.True(IcmpMessage.TryParse(Captures.FragmentationNeeded.AsSpan(20), out var needed));
        Assert.Equal((3, 4, 1280), (needed.Type, needed.Code, needed.NextHopMtu));
        Assert.True(needed.HasValidChecksum);
        Assert.True(IcmpMessage.TryParse(Captures.PacketTooBig.AsSpan(40), out var tooBig));
        Assert.Equal((2, 0, 1280u), (tooBig.Type, tooBig.Code, tooBig.PacketTooBigMtu));
        Assert.True(tooBig.HasValidChecksumFor(Captures.Router6, Captures.HostA6));
        Assert.False(IcmpMessage.TryParse(Captures.PacketTooBig.AsSpan(40, 7), out _));
    }

    [Fact]
    public void IcmpTryParse_CapturedEcho_ReadsIdentifierAndSequence()
    {
        Assert.True(IcmpMessage.TryParse(Captures.EchoRequest4.AsSpan(20), out var echo));
        Assert.Equal((8, 0, 0x37C3, 1), (echo.Type, echo.Code, echo.Identifier, echo.SequenceNumber));
        Assert.Equal(24, echo.Data.Length);
        Assert.Equal(0xA6FB, echo.Checksum);
    }

    [Fact]
    public void EspHeader_WrittenAndParsed_IsTheSame()
    {
        byte[] bytes = new byte[8];
        new EspHeader(0xC0FFEE01, 0x01020304).Write(bytes);
        Assert.Equal(Captures.Hex("c0ffee0101020304"), bytes);
        Assert.True(EspHeader.TryParse(bytes, out var header));
        Assert.Equal(new EspHeader(0xC0FFEE01, 0x01020304), header);
        Assert.False(EspHeader.TryParse(bytes.AsSpan(0, 7), out _));
    }
}
