using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Tests;

/// <summary>Whole packets through two hosts.</summary>
public sealed class FlowTests
{
    public static TheoryData<bool, bool, bool> Families
    {
        get
        {
            var data = new TheoryData<bool, bool, bool>();
            foreach (bool outerIPv6 in new[] { false, true })
            {
                foreach (bool innerIPv6 in new[] { false, true })
                {
                    data.Add(outerIPv6, innerIPv6, true);
                    data.Add(outerIPv6, innerIPv6, false);
                }
            }

            return data;
        }
    }

    public static TheoryData<string> Suites => [.. Suite.All.Select(suite => suite.Name)];

    [Theory]
    [MemberData(nameof(Families))]
    public void Tunnel_EachFamilyAndEncapsulation_DeliversTheSameBytesBothWays(bool outerIPv6, bool innerIPv6, bool udp)
    {
        using var pair = new Pair(new TunnelSettings { OuterIPv6 = outerIPv6, Udp = udp });
        byte[] there = innerIPv6 ? Packets.Udp("fd01::1", "fd02::1") : Packets.Udp("10.1.0.1", "10.2.0.1");
        byte[] back = innerIPv6 ? Packets.Udp("fd02::1", "fd01::1") : Packets.Udp("10.2.0.1", "10.1.0.1");
        var left = pair.Left.Counters.Snapshot();
        var right = pair.Right.Counters.Snapshot();

        pair.LeftToRightRun(there);
        pair.Right.SendFromTun(back);
        pair.Left.RunInbound();

        Assert.Equal([there], pair.Right.Tunnel.Written);
        Assert.Equal([back], pair.Left.Tunnel.Written);
        var sent = Assert.Single(pair.Left.Network.Sent);
        Assert.Equal(pair.RightOuter, sent.About.Remote);
        Assert.Equal(pair.LeftOuter, sent.About.Local);
        Assert.Equal(udp ? 4500 : 0, sent.About.RemotePort);
        Assert.Equal(udp ? 4500 : 0, sent.LocalPort);
        Assert.True(sent.About.DontFragment);
        foreach (var (host, before, packet) in new[] { (pair.Left, left, back), (pair.Right, right, there) })
        {
            Expect.Changes(
                host, before, [],
                (TrafficCounter.TunPacketsRead, 1), (TrafficCounter.OutboundPackets, 1),
                (TrafficCounter.OutboundBytes, host.Network.Sent[0].Packet.Length),
                (TrafficCounter.OuterPacketsRead, 1), (TrafficCounter.InboundPackets, 1), (TrafficCounter.InboundBytes, packet.Length));
        }

        Assert.Equal(1u, pair.LeftOut.Usage.Packets);
        Assert.Equal((ulong)there.Length, pair.RightIn.Usage.Bytes);
        Assert.Empty(pair.Left.TakeEvents());
        Assert.Empty(pair.Right.TakeEvents());
    }

    [Theory]
    [MemberData(nameof(Suites))]
    public void Tunnel_EachSuite_DeliversEverySize(string name)
    {
        using var pair = new Pair(new TunnelSettings { Suite = Suite.All.Single(suite => suite.Name == name) }, defaultPathMtu: 9200);
        foreach (int size in new[] { 28, 29, 30, 31, 32, 33, 47, 48, 64, 127, 128, 576, 1280, 1400, 1500, 4096, 8999, 9000 })
        {
            byte[] packet = Packets.UdpOfLength("10.1.0.1", "10.2.0.1", size);
            pair.LeftToRightRun(packet);
            Assert.Equal(packet, pair.Right.Tunnel.Written[^1]);
        }

        Assert.Equal(0, pair.Left.Counters.Snapshot().TotalDrops + pair.Right.Counters.Snapshot().TotalDrops);
    }

    [Fact]
    public void Tunnel_EverySizeTo9000_Delivered()
    {
        using var pair = new Pair(defaultPathMtu: 9200);
        for (int size = 28; size <= 9000; size++)
        {
            byte[] packet = Packets.UdpOfLength("10.1.0.1", "10.2.0.1", size);
            pair.LeftToRightRun(packet);
            Assert.Equal(packet, pair.Right.Tunnel.Written[^1]);
            pair.Left.Network.Sent.Clear();
            pair.Right.Tunnel.Written.Clear();
        }
    }

    [Fact]
    public void Tunnel_HeaderOnlyPackets_Delivered()
    {
        using var pair = new Pair();
        foreach (var (source, destination) in new[] { ("10.1.0.1", "10.2.0.1"), ("fd01::1", "fd02::1") })
        {
            // An IP packet with one byte of payload, and with none.
            foreach (byte[] payload in new byte[][] { [], [42] })
            {
                byte[] packet = Packets.Ip(source, destination, 253, payload);
                pair.LeftToRightRun(packet);
                Assert.Equal(packet, pair.Right.Tunnel.Written[^1]);
            }
        }
    }

    [Fact]
    public void Tunnel_FullBatches_KeepOrder()
    {
        using var pair = new Pair(queueLength: 200);
        byte[][] packets = [.. Enumerable.Range(0, 150).Select(i => Packets.Udp("10.1.0.1", "10.2.0.1", payload: i))];
        pair.LeftToRightRun(packets);
        Assert.Equal(packets, pair.Right.Tunnel.Written);

        // 150 packets in batches of 32: one call of the socket for each batch.
        Assert.Equal(5, pair.LeftSocket.Calls);
    }

    [Fact]
    public void Tunnel_SeveralSasInOneBatch_EachByItsOwnInOrder()
    {
        using var pair = new Pair();
        pair.AddTunnel(new TunnelSettings { Suite = Suite.ChaCha, ReqId = 2, Udp = false }, 0x5000, 0x6000);
        foreach (var (host, direction) in new[]
        {
            (pair.Left, Ipsec.Spd.PolicyDirection.Out), (pair.Right, Ipsec.Spd.PolicyDirection.In),
        })
        {
            Pair.AddPolicy(host, Pair.Policy(
                "10.1.0.1", "10.2.0.1", direction, pair.Template(pair.LeftOuter, pair.RightOuter, reqId: 2), priority: 1, protocol: 17,
                destinationPort: 53));
        }

        byte[][] packets =
            [.. Enumerable.Range(0, 30).Select(i => Packets.Udp("10.1.0.1", "10.2.0.1", payload: i, destinationPort: (ushort)(i % 3 == 0 ? 53 : 80)))];
        pair.Left.SendFromTun(packets);
        pair.Right.RunInbound();
        Assert.Equal(10, pair.Left.Network.Sent.Count(sent => sent.LocalPort == 0));
        Assert.Equal(20, pair.Left.Network.Sent.Count(sent => sent.LocalPort == 4500));
        Assert.Equal(packets.Length, pair.Right.Tunnel.Written.Count);
        Assert.Equal(
            packets.Where((_, i) => i % 3 == 0), pair.Right.Tunnel.Written.Where(packet => Packets.Parse(packet).DestinationPort == 53));
        Assert.Equal(
            packets.Where((_, i) => i % 3 != 0), pair.Right.Tunnel.Written.Where(packet => Packets.Parse(packet).DestinationPort == 80));
    }

    // RFC 4303 §2.2.1: 64-bit numbers, the low half on the wire.
    [Fact]
    public void Tunnel_EsnAcross32Bits_GoesOn()
    {
        using var pair = new Pair(new TunnelSettings { Flags = SaFlags.Esn | SaFlags.AfUnspec, Window = 128 });
        ulong start = (1UL << 32) - 20;
        pair.LeftOut.OutboundSequence = start;
        pair.RightIn.Replay!.Restore(start, new uint[4]);
        byte[][] packets = [.. Enumerable.Range(0, 40).Select(i => Packets.Udp("10.1.0.1", "10.2.0.1", payload: i))];
        pair.LeftToRightRun(packets);
        Assert.Equal(packets, pair.Right.Tunnel.Written);
        Assert.Equal(start + 40, pair.LeftOut.OutboundSequence);
        Assert.Equal(start + 40, pair.RightIn.Replay.Highest);
    }

    [Fact]
    public void Tunnel_EsnWithoutSharedState_ReplayedAcrossSubspaceRefused()
    {
        using var pair = new Pair(new TunnelSettings { Flags = SaFlags.Esn | SaFlags.AfUnspec, Window = 128 });
        byte[] early = pair.Capture(Packets.Udp("10.1.0.1", "10.2.0.1"));
        pair.Inject(early);
        pair.RightIn.Replay!.Restore(1UL << 32, new uint[4]);

        // Number 1 is now taken for 2^32 + 1, so that the ICV, which covers the high half, is wrong.
        pair.Inject(early);
        Assert.Equal(1, pair.Right.Counters.Read(Ipsec.DropReason.InboundIntegrityFailure));
        Assert.Equal(1u, pair.RightIn.IntegrityFailures);
    }

    // RFC 4303 §2.7.
    [Fact]
    public void Tunnel_TfcPadding_SentPaddedAndStripped()
    {
        using var pair = new Pair(new TunnelSettings { TfcPadding = 1000 });
        byte[] small = Packets.Udp("10.1.0.1", "10.2.0.1", payload: 1);
        byte[] other = Packets.Udp("10.1.0.1", "10.2.0.1", payload: 700);
        byte[] large = Packets.Udp("10.1.0.1", "10.2.0.1", payload: 1300);
        pair.LeftToRightRun(small, other, large);
        Assert.Equal([small, other, large], pair.Right.Tunnel.Written);
        Assert.Equal(pair.Left.Network.Sent[0].Packet.Length, pair.Left.Network.Sent[1].Packet.Length);
        Assert.True(pair.Left.Network.Sent[0].Packet.Length > 1000);
        Assert.True(pair.Left.Network.Sent[2].Packet.Length > pair.Left.Network.Sent[0].Packet.Length);
        Assert.Equal((ulong)(small.Length + other.Length + large.Length), pair.RightIn.Usage.Bytes);
    }

    [Fact]
    public void Tunnel_TfcBeyondPath_NeverLargerThanPath()
    {
        using var pair = new Pair(new TunnelSettings { TfcPadding = 60_000 });
        byte[] packet = Packets.Udp("10.1.0.1", "10.2.0.1");
        pair.LeftToRightRun(packet);
        Assert.Equal([packet], pair.Right.Tunnel.Written);

        // IPv4 and UDP header are outside.
        Assert.InRange(pair.Left.Network.Sent[0].Packet.Length, 1400, 1500 - 28);
    }

    [Fact]
    public void Tunnel_MulticastDestination_FollowsTheSpd()
    {
        using var pair = new Pair();
        byte[] packet = Packets.Udp("10.1.0.1", "239.1.2.3");
        pair.LeftToRightRun(packet);
        Assert.Equal([packet], pair.Right.Tunnel.Written);
    }

    [Fact]
    public void Tunnel_TrailingBytesInTun_NotSent()
    {
        using var pair = new Pair();
        byte[] packet = Packets.Udp("10.1.0.1", "10.2.0.1");
        pair.LeftToRightRun([.. packet, 1, 2, 3]);
        Assert.Equal([packet], pair.Right.Tunnel.Written);
    }
}
