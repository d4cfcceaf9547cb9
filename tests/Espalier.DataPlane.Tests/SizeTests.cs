using System.Buffers.Binary;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Wire.Addresses;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Tests;

/// <summary>Path MTU: what does not fit is refused with an ICMP error (RFC 4301 §8.2), and what is believed of ICMP errors from outside.</summary>
public sealed class SizeTests
{
    public static TheoryData<string, bool, bool> Tunnels
    {
        get
        {
            var data = new TheoryData<string, bool, bool>();
            foreach (var suite in Suite.All)
            {
                data.Add(suite.Name, false, true);
                data.Add(suite.Name, true, false);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Tunnels))]
    public void Packet_OfTheReportedMtu_FitsThePathExactlyAndOneMoreDoesNot(string name, bool outerIPv6, bool udp)
    {
        using var pair = new Pair(new TunnelSettings
        {
            Suite = Suite.All.Single(suite => suite.Name == name),
            OuterIPv6 = outerIPv6,
            Udp = udp,
        });
        pair.Left.SendFromTun(Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 1500));
        var (destination, message) = Assert.Single(pair.Left.Icmp.Sent);
        Assert.Equal(InternetAddress.Parse("10.1.0.1"), destination);
        Assert.True(IcmpMessage.TryParse(message, out var icmp) && icmp.HasValidChecksum);
        Assert.Equal((3, 4), (icmp.Type, icmp.Code));
        int mtu = icmp.NextHopMtu;
        Assert.Equal(pair.LeftOut.InnerMtu(1500), mtu);

        byte[] largest = Packets.UdpOfLength("10.1.0.1", "10.2.0.1", mtu);
        pair.LeftToRightRun(largest);
        Assert.Equal([largest], pair.Right.Tunnel.Written);
        int outer = pair.Left.Network.Sent[0].Packet.Length + (outerIPv6 ? 40 : 20) + (udp ? 8 : 0);
        Assert.InRange(outer, 1500 - 15, 1500);
        Assert.True(pair.Left.Network.Sent[0].About.DontFragment);
        pair.Left.SendFromTun(Packets.UdpOfLength("10.1.0.1", "10.2.0.1", mtu + 1));
        Assert.Equal(2, pair.Left.Icmp.Sent.Count);
    }

    // 65,507 bytes of ESP packets go in one message to the kernel: the next batch takes as many segments as fill whole ones.
    [Theory]
    [InlineData(64, 32)]
    [InlineData(1400, 32)]
    [InlineData(4000, 32)]
    [InlineData(4600, 28)]
    [InlineData(9000, 28)]
    public void SegmentsAtOnce_FillWholeMessages(int length, int expected)
    {
        using var pair = new Pair(defaultPathMtu: 9_100);
        Assert.Equal(32, pair.Left.Outbound.SegmentsAtOnce);
        pair.Left.SendFromTun(Packets.UdpOfLength("10.1.0.1", "10.2.0.1", length), Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 40));
        int frame = pair.Left.Network.Sent[0].Packet.Length;
        Assert.Equal(expected, pair.Left.Outbound.SegmentsAtOnce);
        Assert.True(expected == 32 || expected % (IOuterSocket.LargestMessage / frame) == 0);

        // What is dropped says nothing, and the next small packet all.
        pair.Left.SendFromTun(Packets.UdpOfLength("10.9.0.1", "10.9.0.2", 40));
        Assert.Equal(expected, pair.Left.Outbound.SegmentsAtOnce);
        pair.Left.SendFromTun(Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 40));
        Assert.Equal(32, pair.Left.Outbound.SegmentsAtOnce);
    }

    [Fact]
    public void IPv6_TooBig_SenderToldWithPacketTooBig()
    {
        using var pair = new Pair();
        byte[] packet = Packets.UdpOfLength("fd01::1", "fd02::1", 1500);
        pair.Left.SendFromTun(packet);
        var (destination, message) = Assert.Single(pair.Left.Icmp.Sent);
        Assert.Equal(InternetAddress.Parse("fd01::1"), destination);
        Assert.Equal(2, message[0]);
        Assert.Equal(pair.LeftOut.InnerMtu(1500), BinaryPrimitives.ReadInt32BigEndian(message.AsSpan(4)));
        Assert.Equal(packet[..(message.Length - 8)], message[8..]);
        Assert.Equal(1, pair.Left.Counters.Read(DropReason.OutboundTooBig));
    }

    // RFC 8200 §5, RFC 2473 §7.1: an IPv6 packet of 1,280 bytes must pass, in outer fragments if need be.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void IPv6_MinimumMtu_PassesANarrowPathInOuterFragments(bool outerIPv6)
    {
        using var pair = new Pair(new TunnelSettings { OuterIPv6 = outerIPv6 }, defaultPathMtu: 1280);
        byte[] packet = Packets.UdpOfLength("fd01::1", "fd02::1", 1280);
        pair.LeftToRightRun(packet);
        Assert.Equal([packet], pair.Right.Tunnel.Written);
        Assert.False(pair.Left.Network.Sent[0].About.DontFragment);

        pair.Left.SendFromTun(Packets.UdpOfLength("fd01::1", "fd02::1", 1281));
        Assert.Equal(1280, BinaryPrimitives.ReadInt32BigEndian(Assert.Single(pair.Left.Icmp.Sent).Message.AsSpan(4)));
    }

    [Theory]
    [InlineData("0.0.0.0")]
    [InlineData("127.0.0.1")]
    [InlineData("224.0.0.5")]
    public void TooBig_FromNoSingleHost_NoErrorSent(string source)
    {
        using var pair = new Pair();
        Pair.AddPolicy(pair.Left, Pair.Policy(
            "0.0.0.0/0", "10.2.0.0/16", Ipsec.Spd.PolicyDirection.Out, pair.Template(pair.LeftOuter, pair.RightOuter)));
        var before = pair.Left.Counters.Snapshot();
        pair.Left.SendFromTun(Packets.UdpOfLength(source, "10.2.0.1", 1500));
        Expect.OutboundDrop(pair.Left, before, DropReason.OutboundTooBig, (TrafficCounter.IcmpErrorsWithheld, 1));
        Assert.Empty(pair.Left.Icmp.Sent);
    }

    [Fact]
    public void TooBig_Flood_ErrorsLimitedByRate()
    {
        using var pair = new Pair();
        byte[] packet = Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 1500);
        for (int i = 0; i < 200; i++)
        {
            pair.Left.SendFromTun(packet);
        }

        Assert.Equal(IcmpRateLimiter.DefaultBurst, pair.Left.Icmp.Sent.Count);
        Assert.Equal(150, pair.Left.Counters.Read(TrafficCounter.IcmpErrorsWithheld));
        Assert.Equal(200, pair.Left.Counters.Read(DropReason.OutboundTooBig));
        pair.Left.Clock.Advance(TimeSpan.FromSeconds(1));
        pair.Left.SendFromTun(packet);
        Assert.Equal(IcmpRateLimiter.DefaultBurst + 1, pair.Left.Icmp.Sent.Count);
    }

    private static OuterError TooBigFor(Pair pair, int mtu, ushort port = 4500) =>
        new(pair.RightOuter, port, 0, (byte)(pair.RightOuter.Version == IpVersion.IPv6 ? 2 : 3), (byte)(pair.RightOuter.Version == IpVersion.IPv6 ? 0 : 4),
            mtu, 90);

    [Theory]
    [InlineData(false, true)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public void IcmpError_QuotingAPacketOfOurs_IsLearnt(bool outerIPv6, bool udp)
    {
        using var pair = new Pair(new TunnelSettings { OuterIPv6 = outerIPv6, Udp = udp });
        byte[] esp = pair.Capture(Packets.Udp("10.1.0.1", "10.2.0.1"));
        var before = pair.Left.Counters.Snapshot();
        pair.LeftSocket.QueueError(TooBigFor(pair, 1400, (ushort)(udp ? 4500 : 0)), esp[..8]);
        pair.Left.RunInbound();
        Expect.Changes(pair.Left, before, [], (TrafficCounter.PathMtuLearnt, 1));
        var learnt = Assert.Single(pair.Left.TakeEvents());
        Assert.Equal((IpsecEventKind.PathMtu, pair.LeftOut, 1400), (learnt.Kind, learnt.Association, learnt.PathMtu));
    }

    public static TheoryData<string> Forgeries =>
        ["spi", "sequence zero", "sequence not sent", "short", "other destination", "other port", "inbound sa", "other error", "larger", "ipv6 below 1280"];

    [Theory]
    [MemberData(nameof(Forgeries))]
    public void IcmpError_NotAboutAPacketOfOurs_IsIgnored(string kind)
    {
        using var pair = new Pair(new TunnelSettings { OuterIPv6 = kind.StartsWith("ipv6", StringComparison.Ordinal) });
        byte[] esp = pair.Capture(Packets.Udp("10.1.0.1", "10.2.0.1"))[..16];
        var error = TooBigFor(pair, 1400);
        switch (kind)
        {
            case "spi":
                esp[3] ^= 1;
                break;
            case "sequence zero":
                esp[7] = 0;
                break;
            case "sequence not sent":
                esp[7] = 2;
                break;
            case "short":
                esp = esp[..7];
                break;
            case "other destination":
                error = error with { Remote = InternetAddress.Parse("192.0.2.77") };
                break;
            case "other port":
                error = error with { RemotePort = 4501 };
                break;
            case "inbound sa":
                esp = [0, 0, 0x20, 0, 0, 0, 0, 1];
                error = error with { Remote = pair.LeftOuter };
                break;
            case "other error":
                error = error with { IcmpCode = 1 };
                break;
            case "larger":
                error = error with { PathMtu = 1500 };
                break;
            default:
                error = error with { PathMtu = 1279 };
                break;
        }

        var before = pair.Left.Counters.Snapshot();
        pair.LeftSocket.QueueError(error, esp);
        pair.Left.RunInbound();
        Expect.Changes(pair.Left, before, [], (TrafficCounter.IcmpErrorsIgnored, 1));
        Assert.Empty(pair.Left.TakeEvents());
        Assert.Equal(0, pair.LeftOut.PathMtu);
    }

    [Theory]
    [InlineData(IpVersion.IPv4, 1400, 1500, 1400)]
    [InlineData(IpVersion.IPv4, 100, 1500, 576)]
    [InlineData(IpVersion.IPv4, 100, 576, 0)]
    [InlineData(IpVersion.IPv4, 0, 1500, 1492)]
    [InlineData(IpVersion.IPv4, 0, 1492, 1006)]
    [InlineData(IpVersion.IPv4, 0, 576, 0)]
    [InlineData(IpVersion.IPv6, 1280, 1500, 1280)]
    [InlineData(IpVersion.IPv6, 1279, 1500, 0)]
    [InlineData(IpVersion.IPv6, 0, 1500, 0)]
    public void Accept_ReportedMtu_HasItsFloor(IpVersion version, int reported, int current, int expected) =>
        Assert.Equal(expected, PathMtuRules.Accept(version, reported, current));

    [Fact]
    public void SendRefusedForSize_LocalErrorNamesTheMtu_IsLearnt()
    {
        using var pair = new Pair();
        pair.LeftSocket.Refusal = slot => slot.Length > 1372 ? 90 : 0;
        pair.LeftSocket.QueueError(new OuterError(pair.RightOuter, 4500, 0, 0, 0, 1400, 90, IsLocal: true), []);
        var before = pair.Left.Counters.Snapshot();
        pair.Left.SendFromTun(Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 1400));
        Expect.OutboundDrop(pair.Left, before, DropReason.OutboundSendFailure, (TrafficCounter.PathMtuLearnt, 1));
        Assert.Equal(1400, Assert.Single(pair.Left.TakeEvents()).PathMtu);
    }

    [Fact]
    public void SendRefusedForSize_WithoutLocalError_TeachesNothing()
    {
        using var pair = new Pair();
        pair.LeftSocket.Refusal = _ => 90;
        var before = pair.Left.Counters.Snapshot();
        pair.Left.SendFromTun(Packets.Udp("10.1.0.1", "10.2.0.1"));
        Expect.OutboundDrop(pair.Left, before, DropReason.OutboundSendFailure);
        Assert.Empty(pair.Left.TakeEvents());
    }

    // A raw socket does not fragment: what a router would do with it, the data plane does.
    [Theory]
    [InlineData("10.1.0.1", "10.9.0.1")]
    [InlineData("2001:db8:1::1", "2001:db8:9::1")]
    public void InClear_LargerThanTheWayOut_IsReportedToItsSender(string source, string destination)
    {
        using var pair = new Pair();
        pair.Left.Bypass.Mtu = 1400;
        byte[] fits = Packets.UdpOfLength(source, destination, 1400);

        pair.Left.SendFromTun(fits);
        pair.Left.SendFromTun(Packets.UdpOfLength(source, destination, 1401));

        Assert.Equal([fits], pair.Left.Bypass.Sent);
        var (to, message) = Assert.Single(pair.Left.Icmp.Sent);
        Assert.Equal(InternetAddress.Parse(source), to);
        Assert.True(IcmpMessage.TryParse(message, out var icmp));
        Assert.Equal(1400, to.Version == IpVersion.IPv4 ? icmp.NextHopMtu : (int)icmp.PacketTooBigMtu);
        Assert.Equal(1, pair.Left.OutboundCounters.Read(DropReason.OutboundTooBig));
        Assert.Equal(0, pair.Left.OutboundCounters.Read(DropReason.OutboundBypassFailure));
    }

    [Fact]
    public void InClear_LargerThanTheWayOutWithoutDf_IsCutIntoFragments()
    {
        using var pair = new Pair();
        pair.Left.Bypass.Mtu = 576;
        byte[] packet = Packets.UdpOfLength("10.1.0.1", "10.9.0.1", 1500, dontFragment: false);

        pair.Left.SendFromTun(packet);

        Assert.Equal(3, pair.Left.Bypass.Sent.Count);
        Assert.All(pair.Left.Bypass.Sent, piece => Assert.InRange(piece.Length, 21, 576));
        Assert.Equal(packet[20..], pair.Left.Bypass.Sent.SelectMany(piece => piece[20..]));
        Assert.Empty(pair.Left.Icmp.Sent);
        Assert.Equal((1, 3, 3), (
            pair.Left.OutboundCounters.Read(TrafficCounter.FragmentedPackets), pair.Left.OutboundCounters.Read(TrafficCounter.FragmentsCreated),
            pair.Left.OutboundCounters.Read(TrafficCounter.BypassedPackets)));
    }

    [Fact]
    public void InClear_LargerThanAWayOutThatIsNotNamed_IsDropped()
    {
        using var pair = new Pair();
        (pair.Left.Bypass.Mtu, pair.Left.Bypass.NamesMtu) = (1400, false);

        pair.Left.SendFromTun(Packets.UdpOfLength("10.1.0.1", "10.9.0.1", 1500));

        Assert.Empty(pair.Left.Bypass.Sent);
        Assert.Empty(pair.Left.Icmp.Sent);
        Assert.Equal(1, pair.Left.OutboundCounters.Read(DropReason.OutboundBypassFailure));
    }
}
