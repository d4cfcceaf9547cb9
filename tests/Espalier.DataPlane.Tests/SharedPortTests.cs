using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Io.Interop;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using static Espalier.DataPlane.Tests.Harness.SharedPortHost;

namespace Espalier.DataPlane.Tests;

/// <summary>An IKE daemon and the data plane on one UDP port: what is ESP is ours, everything else the daemon's, as if we were not there.</summary>
public sealed class SharedPortTests
{
    public static TheoryData<string, string, bool> Places
    {
        get
        {
            var data = new TheoryData<string, string, bool>();
            foreach (bool specific in new[] { false, true })
            {
                data.Add("10.44.0.11", "10.45.0.2", specific);
                data.Add("fd44::11", "fd45::2", specific);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void Datagrams_OfEachKind_ReachWhoseTheyAre(string localText, string remoteText, bool specific)
    {
        var (local, remote) = (InternetAddress.Parse(localText), InternetAddress.Parse(remoteText));
        using var host = new SharedPortHost().Start();
        host.AddSa(0x1000, remote, local);
        using var daemon = host.Daemon(specific ? local : Any(local));
        using var peer = host.Outside.Run(() => new DaemonSocket(remote, 61_000));
        peer.SetDontFragment(false);
        peer.SetTrafficClass(0x2E);
        uint sequence = 0;
        foreach (int length in new[] { 0, 1, 4, 8, 9, 100, 1200, 5000, 40_000, 65_000 })
        {
            // With ESP and keepalives in between.
            peer.Send(Esp(0x1000, ++sequence), local, Port);
            byte[] message = Ike(length);
            peer.Send(message, local, Port);
            peer.Send([0xFF], local, Port);
            var received = daemon.Receive();
            Assert.NotNull(received);
            Assert.Equal(message, received.Payload);
            Assert.Equal((remote, (ushort)61_000, local, (byte)0x2E), (received.Remote, received.RemotePort, received.Local, received.TrafficClass));
        }

        // Too short for ESP: the daemon's, whatever it says (the kernel's xfrm_udp_encap_rcv).
        peer.Send([1, 2, 3, 4, 5, 6, 7, 8], local, Port);
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], daemon.Receive()!.Payload);
        host.Expect(TrafficCounter.IkeRelayed, 11);
        host.Expect(TrafficCounter.InboundPackets, sequence);
        host.Expect(TrafficCounter.Keepalives, sequence);
        Assert.Null(daemon.Receive(wait: false));
        Assert.Equal(0, host.DataPlane.Counters.Snapshot().TotalDrops);
    }

    [Theory]
    [InlineData("10.44.0.1", "10.45.0.2")]
    [InlineData("fd44::1", "fd45::2")]
    public void Daemon_ReplacedWhileThePortIsHeld_EspGoesOnAndIkeReachesTheNewOne(string localText, string remoteText)
    {
        var (local, remote) = (InternetAddress.Parse(localText), InternetAddress.Parse(remoteText));
        using var host = new SharedPortHost().Start();
        host.AddSa(0x1000, remote, local);
        using var peer = host.Outside.Run(() => new DaemonSocket(remote, Port));
        uint sequence = 0;
        for (int generation = 0; generation < 3; generation++)
        {
            using var daemon = host.Daemon(Any(local));
            peer.Send(Ike(200, (byte)generation), local, Port);
            peer.Send(Esp(0x1000, ++sequence), local, Port);
            Assert.Equal(Ike(200, (byte)generation), daemon.Receive()!.Payload);
            host.Expect(TrafficCounter.InboundPackets, sequence);

            // And the way back, from the daemon's own socket.
            daemon.Send(Ike(300), remote, Port);
            var answer = peer.Receive();
            Assert.Equal((local.Version, Port), (answer!.Remote.Version, answer.RemotePort));
        }

        // Nobody there: the kernel says so to the peer.
        peer.Send(Ike(200), local, Port);
        var error = peer.ReceiveError();
        Assert.Equal((local, Port, Errno.ECONNREFUSED), (error!.Value.Error.Remote, error.Value.Error.RemotePort, error.Value.Error.Errno));

        // We are gone: the daemon has its port by itself.
        using var last = host.Daemon(Any(local));
        host.DataPlane.Dispose();
        peer.Send(Ike(99), local, Port);
        Assert.Equal(Ike(99), last.Receive()!.Payload);
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void IcmpErrors_AboutIke_ReachTheDaemonsErrorQueue(string localText, string remoteText, bool specific)
    {
        var (local, remote) = (InternetAddress.Parse(localText), InternetAddress.Parse(remoteText));
        bool isIPv6 = local.Version == IpVersion.IPv6;
        using var host = new SharedPortHost().Start();
        using var daemon = host.Daemon(specific ? local : Any(local));

        daemon.Send(Ike(300), remote, 9);
        Assert.True(daemon.PollsError());
        var (unreachable, quoted) = daemon.ReceiveError()!.Value;
        Assert.Equal((remote, (ushort)9, Errno.ECONNREFUSED, remote), (unreachable.Remote, unreachable.RemotePort, unreachable.Errno, unreachable.Offender));
        Assert.Equal(isIPv6 ? (1, 4) : (3, 3), (unreachable.IcmpType, unreachable.IcmpCode));
        Assert.Equal(Ike(300), quoted);

        daemon.SetDontFragment(true);
        daemon.Send(Ike(1350), remote, Port);
        var (tooBig, _) = daemon.ReceiveError()!.Value;
        Assert.Equal((remote, Port, Errno.EMSGSIZE, FarMtu), (tooBig.Remote, tooBig.RemotePort, tooBig.Errno, tooBig.PathMtu));
        Assert.Equal(InternetAddress.Parse(isIPv6 ? "fd44::2" : "10.44.0.2"), tooBig.Offender);

        host.Expect(TrafficCounter.IkeErrorsRelayed, 2);
        host.Expect(TrafficCounter.IcmpErrorsIgnored, 0);
        Assert.Null(daemon.ReceiveError(wait: false));
    }

    [Theory]
    [InlineData("10.44.0.1", "10.45.0.2")]
    [InlineData("fd44::1", "fd45::2")]
    public void IcmpErrors_AboutEsp_ReachTheDataPlane(string localText, string remoteText)
    {
        var (local, remote) = (InternetAddress.Parse(localText), InternetAddress.Parse(remoteText));
        using var host = new SharedPortHost().Start();
        host.AddSa(0x2000, local, remote, Port, destinationPort: 9);
        using var daemon = host.Daemon(Any(local));

        host.SendFromTun(Packets.Udp("10.2.0.1", "10.1.0.1"));
        host.Expect(TrafficCounter.OutboundPackets, 1);
        host.Expect(TrafficCounter.IcmpErrorsIgnored, 1);
        host.SendFromTun(Packets.UdpOfLength("10.2.0.1", "10.1.0.1", 1350));
        host.Expect(TrafficCounter.PathMtuLearnt, 1);
        Assert.True(host.Database.Events.TryTake(out var learnt));
        Assert.Equal(FarMtu, learnt.PathMtu);
        host.Expect(TrafficCounter.IkeErrorsRelayed, 0);
        Assert.Null(daemon.ReceiveError(wait: false));

        // A packet larger than the interface: the kernel's own error, in the queue of the socket that sends.
        host.Host.Ip("link set wan mtu 1280");
        host.SendFromTun(Packets.UdpOfLength("10.2.0.1", "10.1.0.1", 1290));
        host.Expect(TrafficCounter.PathMtuLearnt, 2);
    }

    [Fact]
    public void Ike_ThatLoCannotCarry_IsRefusedWithTheReason()
    {
        using var host = new SharedPortHost();
        using var relay = host.Host.Run(() => Io.Sockets.LoopbackRelay.Open(RelayMark));
        var about = new Io.Batches.PacketSlot { Remote = InternetAddress.Parse("fd45::2"), RemotePort = Port, Local = InternetAddress.Parse("fd44::1") };
        Assert.Equal(0, relay.Relay(about, new byte[65_488], Port));
        Assert.Equal(Errno.EMSGSIZE, relay.Relay(about, new byte[65_489], Port));
        Assert.Equal(Errno.EADDRNOTAVAIL, relay.Relay(about with { Local = InternetAddress.Parse("fe80::1") }, new byte[9], Port));
        host.Host.Ip("link set lo down");
        Assert.Equal(Errno.ENETDOWN, relay.Relay(about, new byte[9], Port));
        Assert.Equal(
            Errno.ENETDOWN, relay.RelayError(new Io.Batches.OuterError(about.Remote, Port, 0, 1, 4, 0, 111, Offender: about.Remote, Local: about.Local), [], Port));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Ike_UnderReversePathFilter_Arrives(int filter)
    {
        using var host = new SharedPortHost().Start();
        foreach (string device in new[] { "all", "default", "lo", "wan" })
        {
            host.Host.Sysctl($"ipv4/conf/{device}/rp_filter", $"{filter}");
        }

        // What the routing side installs.
        host.Host.Ip($"rule add fwmark {RelayMark} lookup 777 pref 100");
        host.Host.Ip("route add default dev lo table 777");
        host.Host.Sysctl("ipv4/conf/all/src_valid_mark", "1");
        using var daemon = host.Daemon(InternetAddress.AnyIPv4);
        using var peer = host.Outside.Run(() => new DaemonSocket(InternetAddress.AnyIPv4, Port));
        for (byte i = 0; i < 100; i++)
        {
            peer.Send(Ike(400, i), InternetAddress.Parse("10.44.0.1"), Port);
            Assert.Equal(Ike(400, i), daemon.Receive()?.Payload);
        }

        daemon.Send(Ike(300), InternetAddress.Parse("10.45.0.2"), 9);
        Assert.Equal(Errno.ECONNREFUSED, daemon.ReceiveError()?.Error.Errno);
    }

    [Fact]
    public void Interfaces_ComeAndGo_AreFollowed()
    {
        var (local, remote) = (InternetAddress.Parse("10.46.0.1"), InternetAddress.Parse("10.46.0.2"));
        using var host = new SharedPortHost().Start();
        host.Local.Addresses.Add(local);
        host.AddSa(0x1000, remote, local);
        using var daemon = host.Daemon(InternetAddress.AnyIPv4);
        int before = host.DataPlane.Sockets.Count;
        uint sequence = 0;
        for (int round = 0; round < 3; round++)
        {
            host.Host.LinkTo(host.Outside, "late", ["10.46.0.1/24"], ["10.46.0.2/24"]);
            host.FollowInterfaces();
            Assert.Equal(before + 2, host.DataPlane.Sockets.Count);
            using (var peer = host.Outside.Run(() => new DaemonSocket(remote, Port)))
            {
                peer.Send(Esp(0x1000, ++sequence), local, Port);
                host.Expect(TrafficCounter.InboundPackets, sequence);
                peer.Send(Ike(200), local, Port);
                Assert.Equal((remote, local), (daemon.Receive() is { } message ? (message.Remote, message.Local) : default));
            }

            host.Host.Ip("link del late");
            host.FollowInterfaces();
            Assert.Equal(before, host.DataPlane.Sockets.Count);
        }

        Assert.Empty(host.DataPlane.SocketProblems);
    }

    [Fact]
    public void Interfaces_BeyondTheBound_AreNoted()
    {
        using var host = new SharedPortHost();
        var links = Enumerable.Range(1, 300).Select(i => new Io.Netlink.LinkInfo((uint)i + 1000, $"none{i}", 0, 1500, 0)).ToArray();
        host.DataPlane.FollowInterfaces(links);
        Assert.Contains("44 interfaces", Assert.Single(host.DataPlane.SocketProblems), StringComparison.Ordinal);

        // Interfaces that are gone by the time their socket is opened are no problem.
        host.Host.Run(host.DataPlane.Start);
        Assert.Single(host.DataPlane.SocketProblems);
        host.FollowInterfaces();
        Assert.Empty(host.DataPlane.SocketProblems);
    }
}
