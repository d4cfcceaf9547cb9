using CsCheck;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Packets;

[Collection(nameof(AllocationCollection))]
public sealed class InnerPacketParserTests
{
    [Fact]
    public void TryParse_CapturedTcp_IsSummarised()
    {
        Assert.True(InnerPacketParser.TryParse(Captures.TcpSyn, out var summary));
        Assert.Equal(IpVersion.IPv4, summary.Version);
        Assert.Equal((60, 20), (summary.TotalLength, summary.HeaderLength));
        Assert.Equal((Captures.HostA4, Captures.HostB4), (summary.Source, summary.Destination));
        Assert.Equal((IpProtocol.Tcp, (ushort)49700, (ushort)7), (summary.Protocol, summary.SourcePort, summary.DestinationPort));
        Assert.Equal((64, 0, 0x6509u), (summary.TimeToLive, summary.TrafficClass, summary.FragmentId));
        Assert.True(summary.DontFragment);
        Assert.True(summary.PortsKnown);
        Assert.True(summary.ProtocolKnown);
        Assert.False(summary.IsFragment);
        Assert.False(summary.IsFirstFragment);
        Assert.False(summary.IsLaterFragment);
    }

    [Fact]
    public void TryParse_CapturedUdpBehindOptions_IsSummarised()
    {
        Assert.True(InnerPacketParser.TryParse(Captures.UdpBehindOptions6, out var summary));
        Assert.Equal(IpVersion.IPv6, summary.Version);
        Assert.Equal((69, 56), (summary.TotalLength, summary.HeaderLength));
        Assert.Equal((Captures.HostA6, Captures.HostB6), (summary.Source, summary.Destination));
        Assert.Equal((IpProtocol.Udp, (ushort)4661, (ushort)9), (summary.Protocol, summary.SourcePort, summary.DestinationPort));
        Assert.True(summary.DontFragment);
        Assert.True(summary.PortsKnown);
        Assert.False(summary.IsFragment);
    }

    [Fact]
    public void TryParse_CapturedEchoes_HaveTypeAndCodeAsPorts()
    {
        Assert.True(InnerPacketParser.TryParse(Captures.EchoRequest4, out var four));
        Assert.Equal((IpProtocol.Icmp, (ushort)8, (ushort)0, true), (four.Protocol, four.SourcePort, four.DestinationPort, four.PortsKnown));
        Assert.True(InnerPacketParser.TryParse(Captures.EchoRequest6, out var six));
        Assert.Equal((IpProtocol.IcmpV6, (ushort)128, (ushort)0, true), (six.Protocol, six.SourcePort, six.DestinationPort, six.PortsKnown));
        Assert.True(InnerPacketParser.TryParse(Captures.FragmentationNeeded, out var needed));
        Assert.Equal(((ushort)3, (ushort)4, (byte)0xC0), (needed.SourcePort, needed.DestinationPort, needed.TrafficClass));
    }

    [Fact]
    public void TryParse_CapturedIPv4Fragments_OnlyTheFirstHasPorts()
    {
        Assert.True(InnerPacketParser.TryParse(Captures.LargeFragments[0], out var first));
        Assert.Equal((true, true, true, 0x7E75u), (first.IsFragment, first.IsFirstFragment, first.PortsKnown, first.FragmentId));
        Assert.Equal(((ushort)4660, (ushort)9), (first.SourcePort, first.DestinationPort));
        foreach (byte[] later in Captures.LargeFragments[1..])
        {
            Assert.True(InnerPacketParser.TryParse(later, out var summary));
            Assert.Equal((true, false, false, true), (summary.IsFragment, summary.IsFirstFragment, summary.PortsKnown, summary.IsLaterFragment));
            Assert.Equal((IpProtocol.Udp, (ushort)0, (ushort)0, 0x7E75u), (summary.Protocol, summary.SourcePort, summary.DestinationPort, summary.FragmentId));
            Assert.False(summary.DontFragment);
            Assert.True(summary.ProtocolKnown);
        }
    }

    [Fact]
    public void TryParse_CapturedIPv6Fragments_OnlyTheFirstHasPorts()
    {
        Assert.True(InnerPacketParser.TryParse(Captures.Fragments6[0], out var first));
        Assert.Equal((true, true, true, 0xCABEF0D2u, 48), (first.IsFragment, first.IsFirstFragment, first.PortsKnown, first.FragmentId, first.HeaderLength));
        Assert.Equal(((ushort)4661, (ushort)9), (first.SourcePort, first.DestinationPort));
        Assert.True(InnerPacketParser.TryParse(Captures.Fragments6[1], out var second));
        Assert.Equal((true, false, false, 0xCABEF0D2u), (second.IsFragment, second.IsFirstFragment, second.PortsKnown, second.FragmentId));
        Assert.Equal(((ushort)0, (ushort)0), (second.SourcePort, second.DestinationPort));
    }

    [Theory]
    [InlineData(IpProtocol.Tcp)]
    [InlineData(IpProtocol.Udp)]
    [InlineData(IpProtocol.UdpLite)]
    [InlineData(IpProtocol.Sctp)]
    [InlineData(IpProtocol.Dccp)]
    public void TryParse_ProtocolWithPorts_ReadsThemOrSaysThatTheyAreMissing(byte protocol)
    {
        foreach (var version in new[] { IpVersion.IPv4, IpVersion.IPv6 })
        {
            var whole = Parse(version, protocol, "12345678");
            Assert.Equal((true, (ushort)0x1234, (ushort)0x5678), (whole.PortsKnown, whole.SourcePort, whole.DestinationPort));
            var cut = Parse(version, protocol, "123456");
            Assert.Equal((false, (ushort)0, (ushort)0), (cut.PortsKnown, cut.SourcePort, cut.DestinationPort));
        }
    }

    [Theory]
    [InlineData(IpVersion.IPv4, IpProtocol.Icmp, "0b01", true, 11, 1)]
    [InlineData(IpVersion.IPv4, IpProtocol.Icmp, "0b", false, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.Icmp, "", false, 0, 0)]
    [InlineData(IpVersion.IPv6, IpProtocol.IcmpV6, "8801", true, 136, 1)]
    [InlineData(IpVersion.IPv6, IpProtocol.IcmpV6, "88", false, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.IcmpV6, "8801", true, 0, 0)] // ICMPv6 is none over IPv4
    [InlineData(IpVersion.IPv6, IpProtocol.Icmp, "0801", true, 0, 0)]
    [InlineData(IpVersion.IPv6, IpProtocol.MobilityHeader, "3b000500", true, 5, 0)] // RFC 6275 §6.1: MH type is the third byte
    [InlineData(IpVersion.IPv6, IpProtocol.MobilityHeader, "3b00", false, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.MobilityHeader, "3b000500", true, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.Gre, "00000800", true, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.Gre, "2000080012345678", true, 0x1234, 0x5678)] // RFC 2890 §2
    [InlineData(IpVersion.IPv6, IpProtocol.Gre, "a0000800ffffffff12345678", true, 0x1234, 0x5678)]
    [InlineData(IpVersion.IPv4, IpProtocol.Gre, "a0000800ffffffff123456", false, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.Gre, "20000800123456", false, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.Gre, "000008", false, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.Esp, "", true, 0, 0)]
    [InlineData(IpVersion.IPv6, IpProtocol.Ah, "11040000000000ff", true, 0, 0)]
    [InlineData(IpVersion.IPv4, IpProtocol.IPv6, "60000000", true, 0, 0)]
    public void TryParse_NextLayer_GivesPortsAsTheKernelsFlow(IpVersion version, byte protocol, string hex, bool known, ushort source, ushort destination)
    {
        var summary = Parse(version, protocol, hex);
        Assert.Equal((protocol, known, source, destination), (summary.Protocol, summary.PortsKnown, summary.SourcePort, summary.DestinationPort));
    }

    // RFC 6946 §4: an atomic fragment is a whole packet, so its ports count.
    [Fact]
    public void TryParse_AtomicIPv6Fragment_IsAWholePacket()
    {
        var summary = Parse(IpVersion.IPv6, IpProtocol.Fragment, "1100000000000007" + "12350009000d4e2f");
        Assert.Equal((false, false, true, IpProtocol.Udp), (summary.IsFragment, summary.IsFirstFragment, summary.PortsKnown, summary.Protocol));
        Assert.Equal((ushort)0x1235, summary.SourcePort);
    }

    [Fact]
    public void TryParse_FirstFragmentWithoutItsPorts_DoesNotKnowThem()
    {
        var summary = Parse(IpVersion.IPv6, IpProtocol.Fragment, "1100000100000007" + "1235");
        Assert.Equal((true, true, false, true), (summary.IsFragment, summary.IsFirstFragment, summary.PortsKnown, summary.ProtocolKnown));
    }

    // RFC 4301 §7.4: an overlapping fragment at offset 8 could bring another key to an IPv4 receiver that takes it.
    [Theory]
    [InlineData("2000080012345678", true)]
    [InlineData("a0000800ffffffff12345678", false)]
    [InlineData("00000800", true)]
    public void TryParse_FirstIPv4FragmentOfGre_KnowsTheKeyWhereNoOtherFragmentCanBringAnother(string hex, bool known)
    {
        byte[] gre = Convert.FromHexString(hex);
        byte[] packet = new byte[IPv4Packet.MinimumHeaderLength + gre.Length];
        PacketWriter.WriteIPv4(
            packet, InternetAddress.Parse("10.1.0.10"), InternetAddress.Parse("10.2.0.10"), IpProtocol.Gre, gre.Length, 7, IPv4Packet.MoreFragmentsFlag);
        gre.CopyTo(packet, IPv4Packet.MinimumHeaderLength);

        Assert.True(InnerPacketParser.TryParse(packet, out var summary));

        Assert.Equal((true, known), (summary.IsFirstFragment, summary.PortsKnown));
    }

    [Fact]
    public void TryParse_LaterFragmentOfAnExtensionHeader_KnowsNoProtocol()
    {
        var summary = Parse(IpVersion.IPv6, IpProtocol.Fragment, "3c00000800000007" + "1100010400000000");
        Assert.Equal((true, false, false, false), (summary.IsFragment, summary.IsFirstFragment, summary.PortsKnown, summary.ProtocolKnown));
    }

    [Fact]
    public void TryParse_IPv6FragmentBehindOptions_CountsAllHeaders()
    {
        var summary = Parse(IpVersion.IPv6, IpProtocol.HopByHopOptions, "2c00010400000000" + "0600000100000007" + "12345678");
        Assert.Equal((56, IpProtocol.Tcp, true, (ushort)0x5678), (summary.HeaderLength, summary.Protocol, summary.IsFirstFragment, summary.DestinationPort));
    }

    [Fact]
    public void TryParse_IPv4HeaderWithOptions_FindsPortsBehindThem()
    {
        Assert.True(InnerPacketParser.TryParse(Captures.WithRouterAlert, out var summary));
        Assert.Equal((24, (ushort)4660, (ushort)9, false), (summary.HeaderLength, summary.SourcePort, summary.DestinationPort, summary.DontFragment));
    }

    // RFC 4303 §2.7: TFC padding stands behind the packet, whose own length says where it ends.
    [Fact]
    public void TryParse_TfcPaddingBehindPacket_IsLeftOut()
    {
        Assert.True(InnerPacketParser.TryParse([.. Captures.TcpSyn, .. new byte[100]], out var summary));
        Assert.Equal(60, summary.TotalLength);
        var cut = Parse(IpVersion.IPv4, IpProtocol.Udp, "1234", "00090000");
        Assert.False(cut.PortsKnown);
    }

    [Theory]
    [InlineData("")]
    [InlineData("00")]
    [InlineData("45")]
    [InlineData("60")]
    [InlineData("f5000014000000004001000a0a01000a0a02000a")]
    public void TryParse_Malformed_IsRefused(string hex)
    {
        Assert.False(InnerPacketParser.TryParse(Captures.Hex(hex), out var summary));
        Assert.Equal(IpVersion.None, summary.Version);
    }

    [Fact]
    public void TryParse_CapturesCutOffAnywhere_AreRefused()
    {
        foreach (byte[] packet in new[] { Captures.TcpSyn, Captures.UdpBehindOptions6, Captures.Fragments6[0] })
        {
            for (int length = 0; length < packet.Length; length++)
            {
                Assert.False(InnerPacketParser.TryParse(packet.AsSpan(0, length), out _));
            }
        }
    }

    [Fact]
    public void TryParse_RandomBytes_NeitherThrowsNorLeavesTheBuffer() =>
        Gen.Select(Gen.Byte.Array[0, 120], Gen.OneOf<byte>(0x45, 0x46, 0x4F, 0x60, 0x6F), Gen.OneOf<byte>(0, 6, 43, 44, 47, 60, 135), Gen.Bool)
            .Sample((bytes, first, protocol, lengthsFit) =>
            {
                if (bytes.Length > 9)
                {
                    bytes[0] = first;
                    bytes[first < 0x50 ? 9 : 6] = protocol;
                    int length = first < 0x50 ? bytes.Length : Math.Max(bytes.Length - 40, 0);
                    if (lengthsFit)
                    {
                        (bytes[first < 0x50 ? 2 : 4], bytes[first < 0x50 ? 3 : 5]) = ((byte)(length >> 8), (byte)length);
                    }
                }

                if (InnerPacketParser.TryParse(bytes, out var summary))
                {
                    Assert.InRange(summary.TotalLength, 20, bytes.Length);
                    Assert.InRange(summary.HeaderLength, 20, summary.TotalLength);
                    Assert.False(summary.IsLaterFragment && summary.PortsKnown);
                    Assert.True(summary.PortsKnown || (summary.SourcePort == 0 && summary.DestinationPort == 0));
                }
            });

    [Fact]
    public void TryParse_ValidPackets_AllocatesNothing()
    {
        byte[][] packets = [Captures.TcpSyn, Captures.UdpBehindOptions6, Captures.LargeFragments[1], Captures.Fragments6[0]];
        foreach (byte[] packet in packets)
        {
            Assert.True(InnerPacketParser.TryParse(packet, out _));
        }

        int parsed = 0, rounds = 0;
        long allocated = Allocation.Least(() =>
        {
            rounds++;
            for (int i = 0; i < 10_000; i++)
            {
                parsed += InnerPacketParser.TryParse(packets[i & 3], out _) ? 1 : 0;
            }
        });

        Assert.Equal(0, allocated);
        Assert.Equal(10_000 * rounds, parsed);
    }

    private static PacketSummary Parse(IpVersion version, byte protocol, string payloadHex, string behindHex = "")
    {
        byte[] payload = Captures.Hex(payloadHex);
        bool isIPv6 = version == IpVersion.IPv6;
        byte[] packet = new byte[(isIPv6 ? 40 : 20) + payload.Length];
        int offset = isIPv6
            ? PacketWriter.WriteIPv6(packet, Captures.HostA6, Captures.HostB6, protocol, payload.Length)
            : PacketWriter.WriteIPv4(packet, Captures.HostA4, Captures.HostB4, protocol, payload.Length, 0, 0);
        payload.CopyTo(packet, offset);
        Assert.True(InnerPacketParser.TryParse([.. packet, .. Captures.Hex(behindHex)], out var summary));
        return summary;
    }
}
