using Espalier.Wire.Addresses;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Icmp;

public sealed class IcmpErrorRulesTests
{
    private static readonly byte[] _data = new byte[8];

    [Fact]
    public void MayReportTooBig_CapturedPackets_AsTheirKindSays()
    {
        Assert.True(MayReportTooBig(Captures.TcpSyn));
        Assert.True(MayReportTooBig(Captures.EchoRequest4));
        Assert.True(MayReportTooBig(Captures.LargeFragments[0]));
        Assert.True(MayReportTooBig(Captures.UdpBehindOptions6));
        Assert.True(MayReportTooBig(Captures.EchoRequest6));
        Assert.False(MayReportTooBig(Captures.FragmentationNeeded));
        Assert.False(MayReportTooBig(Captures.PacketTooBig));
    }

    // RFC 1122 §3.2.2: not about a non-initial fragment.
    [Fact]
    public void MayReportTooBig_LaterIPv4Fragment_No() => Assert.False(MayReportTooBig(Captures.LargeFragments[1]));

    // RFC 4443 §2.4 (e) has no such rule.
    [Fact]
    public void MayReportTooBig_LaterIPv6Fragment_Yes() => Assert.True(MayReportTooBig(Captures.Fragments6[1]));

    // RFC 1122 §3.2.2: not about an ICMP error: 3, 4, 5, 11, 12, or a type that nobody knows.
    [Theory]
    [InlineData(0, true)]
    [InlineData(1, false)]
    [InlineData(3, false)]
    [InlineData(4, false)]
    [InlineData(5, false)]
    [InlineData(8, true)]
    [InlineData(9, true)]
    [InlineData(10, true)]
    [InlineData(11, false)]
    [InlineData(12, false)]
    [InlineData(13, true)]
    [InlineData(18, true)]
    [InlineData(19, false)]
    [InlineData(41, false)]
    [InlineData(42, true)]
    [InlineData(43, true)]
    [InlineData(255, false)]
    public void MayReportTooBig_IcmpType_OnlyAboutQueries(byte type, bool may) =>
        Assert.Equal(may, MayReportTooBig(Packet("10.1.0.10", "10.2.0.10", IpProtocol.Icmp, [type, 0, 0, 0, 0, 0, 0, 0])));

    // RFC 4443 §2.4 (e.1) errors, (e.2) Redirect.
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(127, false)]
    [InlineData(128, true)]
    [InlineData(129, true)]
    [InlineData(135, true)]
    [InlineData(137, false)]
    [InlineData(255, true)]
    public void MayReportTooBig_IcmpV6Type_NotAboutErrorsAndRedirects(byte type, bool may) =>
        Assert.Equal(may, MayReportTooBig(Packet("2001:db8::1", "2001:db8::2", IpProtocol.IcmpV6, [type, 0, 0, 0, 0, 0, 0, 0])));

    [Theory]
    [InlineData("10.1.0.10", "10.2.0.10", IpProtocol.Icmp)]
    [InlineData("2001:db8::1", "2001:db8::2", IpProtocol.IcmpV6)]
    public void MayReportTooBig_IcmpWithoutType_No(string source, string destination, byte protocol) =>
        Assert.False(MayReportTooBig(Packet(source, destination, protocol, [])));

    // RFC 1122 §3.2.2, RFC 1812 §5.3.7: a source that is no single host; a destination that is many.
    [Theory]
    [InlineData("0.0.0.0", "10.2.0.10", false)]
    [InlineData("0.1.2.3", "10.2.0.10", false)]
    [InlineData("127.0.0.1", "10.2.0.10", false)]
    [InlineData("224.0.0.1", "10.2.0.10", false)]
    [InlineData("239.255.255.255", "10.2.0.10", false)]
    [InlineData("240.0.0.1", "10.2.0.10", false)]
    [InlineData("255.255.255.255", "10.2.0.10", false)]
    [InlineData("223.255.255.254", "10.2.0.10", true)]
    [InlineData("1.0.0.1", "10.2.0.10", true)]
    [InlineData("128.0.0.1", "10.2.0.10", true)]
    [InlineData("10.1.0.10", "224.0.0.5", false)]
    [InlineData("10.1.0.10", "239.1.1.1", false)]
    [InlineData("10.1.0.10", "255.255.255.255", false)]
    [InlineData("10.1.0.10", "223.0.0.1", true)]
    public void MayReportTooBig_IPv4Addresses_OnlyOneToOne(string source, string destination, bool may) =>
        Assert.Equal(may, MayReportTooBig(Packet(source, destination, IpProtocol.Udp, _data)));

    // RFC 4443 §2.4 (e.6) sources; (e.3) multicast destinations, from which Packet Too Big is excepted.
    [Theory]
    [InlineData("::", "2001:db8::2", false)]
    [InlineData("::1", "2001:db8::2", false)]
    [InlineData("ff02::1", "2001:db8::2", false)]
    [InlineData("::2", "2001:db8::2", true)]
    [InlineData("fe80::1", "2001:db8::2", true)]
    [InlineData("2001:db8::1", "ff0e::1", true)]
    [InlineData("2001:db8::1", "2001:db8::2", true)]
    public void MayReportTooBig_IPv6Addresses_PacketTooBigAlsoAboutMulticast(string source, string destination, bool may) =>
        Assert.Equal(may, MayReportTooBig(Packet(source, destination, IpProtocol.Udp, _data)));

    [Fact]
    public void MayReportTooBig_NoPacket_No() => Assert.False(IcmpErrorRules.MayReportTooBig(default));

    private static bool MayReportTooBig(byte[] packet)
    {
        Assert.True(InnerPacketParser.TryParse(packet, out var summary));
        return IcmpErrorRules.MayReportTooBig(summary);
    }

    private static byte[] Packet(string source, string destination, byte protocol, byte[] payload)
    {
        byte[] packet = new byte[40 + payload.Length];
        int length = PacketWriter.WriteIp(packet, InternetAddress.Parse(source), InternetAddress.Parse(destination), protocol, payload.Length);
        payload.CopyTo(packet, length);
        return packet[..(length + payload.Length)];
    }
}
