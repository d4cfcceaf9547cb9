using System.Net.Sockets;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Tests.Hosts;
using Espalier.Testing;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests;

/// <summary>Strict rp_filter while a selector covers the peer's own address. The hosts are drawn at <see cref="RoutedHost"/>.</summary>
public sealed class ReversePathTests
{
    [Fact]
    public void HostToHost_EspAndItsNeighbours_Arrive()
    {
        using var host = Strict();
        host.Add(Out("192.168.0.1/32", "192.168.0.2/32"), In("192.168.0.2/32", "192.168.0.1/32"));
        host.FlushGuard();
        using var encapsulated = host.Host.Listen(4500);
        using var raw = host.Host.ListenEsp();
        host.Peer.Ip("neigh flush all");
        host.Host.Ip("neigh flush all");

        host.Peer.SendUdp("192.168.0.2", "192.168.0.1", 4500);
        host.Peer.SendRaw(TestPackets.IPv4("192.168.0.2", "192.168.0.1", 50, 24));

        Assert.True(encapsulated.Receives());
        Assert.True(raw.Receives());
        Assert.Equal(default, host.GuardCounters());
    }

    [Fact]
    public void HostToHost_DecryptedPacketOnTheTunnel_IsDelivered()
    {
        using var host = Strict();
        host.Add(Out("192.168.0.1/32", "192.168.0.2/32"), In("192.168.0.2/32", "192.168.0.1/32"));
        host.FlushGuard();
        using var server = host.Host.Listen(5000);

        Assert.Equal(0, host.Tunnel.Send(TestPackets.Udp4("192.168.0.2", "192.168.0.1", 5000)));

        Assert.True(server.Receives());
    }

    [Fact]
    public void Gateway_DecryptedPacketForANetworkBehind_IsForwarded()
    {
        using var host = Strict();
        host.Host.Sysctl("ipv4/ip_forward", "1");
        host.Host.Ip("route add 10.1.0.0/16 via 192.168.0.2");
        host.Peer.Ip("address add 10.1.0.7/32 dev lo");
        host.Add(
            Out("10.1.0.0/16", "10.2.0.0/16"),
            Policy(PolicyDirection.Forward, Selector("10.2.0.0/16", "10.1.0.0/16")));
        host.FlushGuard();
        using var server = host.Peer.Listen(5000);

        Assert.Equal(0, host.Tunnel.Send(TestPackets.Udp4("10.2.0.5", "10.1.0.7", 5000)));

        Assert.True(server.Receives());
    }

    [Fact]
    public void Gateway_PacketInClearThatNoPolicyCovers_IsForwardedAndTheWayBackIsCaught()
    {
        // The policy covers TCP only. The way back to 10.2.0.5 leads into the TUN all the same, where the data plane sends on in clear what is not TCP;
        // so the mark on arrival must satisfy rp_filter without exempting the packet itself from the catch.
        using var host = Strict();
        using var behind = Behind(host);
        host.Host.Ip("route add 10.2.0.0/16 via 192.168.0.2");
        host.Peer.Ip("route add 10.1.0.0/16 via 192.168.0.1");
        host.Peer.Ip("address add 10.2.0.5/32 dev lo");
        host.Add(
            Policy(PolicyDirection.Out, Selector("10.1.0.0/16", "10.2.0.0/16", 6)),
            Policy(PolicyDirection.Forward, Selector("10.2.0.0/16", "10.1.0.0/16", 6)));
        host.FlushGuard();
        using var server = behind.Listen(5000);

        host.Peer.SendUdp("10.2.0.5", "10.1.0.7", 5000);

        Assert.True(server.Receives());
        Assert.Equal(default, host.GuardCounters());
    }

    [Theory]
    [InlineData("0.0.0.0/0", "0.0.0.0/0")]
    [InlineData("10.0.0.0/8", "10.0.0.0/8")]
    [InlineData("10.1.0.0/16", "10.2.0.0/16")]
    [InlineData("fd00::/16", "::/0")]
    public void Gateway_PacketThatIsCaught_ReachesTheTunnel(string source, string destination)
    {
        // In the first two, and in a setting of block for all, the way back to the source leads into the TUN as the packet itself does.
        using var host = Strict();
        bool ipv6 = source.Contains(':', StringComparison.Ordinal);
        using var behind = Behind(host);
        host.Add(Out(source, destination));
        host.FlushGuard();

        behind.SendUdp(ipv6 ? "fd00:1::7" : "10.1.0.7", ipv6 ? "fd00:2::5" : "10.2.0.5", 5000);

        Assert.Contains(host.ReadTunnel(packet => packet.DestinationPort == 5000), packet => packet.Source == Ip(ipv6 ? "fd00:1::7" : "10.1.0.7"));
        Assert.Equal(default, host.GuardCounters());
    }

    [Fact]
    public void Gateway_CaughtPacketWithASourceFromElsewhere_IsStillDropped()
    {
        // The mark on arrival leaves rp_filter what the kernel's own routes say: 10.1.0.0/24 is not behind eth0.
        using var host = Strict();
        using var behind = Behind(host);
        host.Peer.Ip("route add 10.2.0.0/16 via 192.168.0.1");
        host.Peer.Ip("address add 10.1.0.8/32 dev lo");
        host.Peer.Ip("address add 10.3.0.8/32 dev lo");
        host.Add(Out("0.0.0.0/0", "0.0.0.0/0"));
        host.FlushGuard();

        host.Peer.SendUdp("10.1.0.8", "10.2.0.5", 5001);
        host.Peer.SendUdp("10.3.0.8", "10.2.0.5", 5002);

        Assert.Equal([5002], host.ReadTunnel(packet => packet.DestinationPort == 5002).Select(packet => packet.DestinationPort).Where(port => port > 5000));
    }

    [Fact]
    public void Neighbours_OnOneLinkWithProxyArp_AreLeftToThemselves()
    {
        // Which of its own links a neighbour is on is no matter of policies: else this host would answer for it, because the TUN is another device.
        using var host = Strict();
        host.Host.Sysctl("ipv4/ip_forward", "1");
        host.Host.Sysctl("ipv4/conf/eth0/proxy_arp", "1");
        host.Host.Sysctl("ipv4/neigh/eth0/proxy_delay", "0");
        host.Add(Out("192.168.0.0/24", "0.0.0.0/0"));
        host.FlushGuard();

        RoutedHost.Try(host.Peer, "ping -c 1 -W 1 192.168.0.77");

        string neighbor = host.Peer.Ip("neigh show 192.168.0.77");
        Assert.NotEmpty(neighbor);
        Assert.DoesNotContain("lladdr", neighbor, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0.0.0.0/0")]
    [InlineData("without nft")]
    public void Relayed_DatagramThroughLoopback_ReachesTheSocket(string selector)
    {
        using var host = new RoutedHost(start: false, new RoutingOptions { TunnelName = "esp0", UseGuard = selector != "without nft" });
        host.Host.Sysctl("ipv4/conf/all/rp_filter", "1");
        host.Start();
        if (selector.Length > 0)
        {
            host.Add(Out("0.0.0.0/0", "0.0.0.0/0"), In("0.0.0.0/0", "0.0.0.0/0"));
        }

        host.FlushGuard();
        using var daemon = host.Host.Listen(4500);
        byte[] datagram = TestPackets.Udp4("203.0.113.9", "192.168.0.1", 4500);

        host.Host.SendIntoLoopback(datagram, mark: 0);
        Assert.False(daemon.HasReceived());
        host.Host.SendIntoLoopback(datagram, host.Options.RelayMark);

        Assert.True(daemon.Receives());
        Assert.False(daemon.HasReceived());
        Assert.Equal(default, host.GuardCounters());
    }

    [Fact]
    public void Relayed_MarkOfTheDatagram_IsNotSavedToTheConnection()
    {
        using var host = Strict();
        SaveMarks(host);
        host.FlushGuard();
        using var daemon = host.Host.Listen(4500);

        host.Host.SendIntoLoopback(TestPackets.Udp4("192.168.0.2", "192.168.0.1", 4500), host.Options.RelayMark);

        Assert.True(daemon.Receives());
        Assert.DoesNotContain("packets 0 ", host.Host.Exec("nft", "list chain inet mine p"), StringComparison.Ordinal);
        Assert.Contains("packets 0 ", host.Host.Exec("nft", "list chain inet mine saved"), StringComparison.Ordinal);
    }

    [Fact]
    public void Relay_LoopbackWentDownAndUp_StandsAgain()
    {
        using var host = new RoutedHost();
        host.Host.Ip("link set lo down");
        host.Host.Ip("link set lo up");

        Assert.True(host.ProcessUntil(() => host.Try("ip route show table 135622").Output.Contains("default dev lo", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("192.168.0.1/32", "0.0.0.0/0", "tcp only")]
    [InlineData("10.3.0.1/32", "0.0.0.0/0", "")]
    [InlineData("0.0.0.0/0", "0.0.0.0/0", "tcp only")]
    public void OrdinaryPackets_FromThePeer_Arrive(string source, string destination, string limit)
    {
        using var host = Strict();
        byte protocol = (byte)(limit.Length > 0 ? 6 : 0);
        host.Add(
            Policy(PolicyDirection.Out, Selector(source, destination, protocol)),
            Policy(PolicyDirection.In, Selector(destination, source, protocol)));
        host.FlushGuard();
        using var server = host.Host.Listen(5000);
        host.Peer.Ip("neigh flush all");

        host.Peer.SendUdp("192.168.0.2", "192.168.0.1", 5000);

        Assert.True(server.Receives());
    }

    [Fact]
    public void Mark_OfAnArrivedPacket_IsGoneForTheFirewall()
    {
        using var host = Strict();
        host.FlushGuard();
        host.Host.Exec("nft", "add table inet mine");
        host.Host.Exec("nft", "add chain inet mine c { type filter hook input priority 0 ; }");
        host.Host.Exec("nft", "add rule inet mine c meta mark != 0 counter drop");
        using var server = host.Host.Listen(5000);

        host.Peer.SendUdp("192.168.0.2", "192.168.0.1", 5000);

        Assert.True(server.Receives());
    }

    // A firewall that saves marks to connections and restores them would exempt the answers from the rules.
    [Fact]
    public void Mark_OfAnArrivedPacket_IsNotSavedToTheConnection()
    {
        using var host = Strict();
        host.FlushGuard();
        SaveMarks(host);
        host.Host.Exec("nft", "add rule inet mine o meta mark != 0 counter drop");

        Assert.Equal(0, RoutedHost.Try(host.Peer, "ping -c 1 -W 2 192.168.0.1").ExitCode);
        Assert.Equal(0, RoutedHost.Try(host.Peer, "ping -c 1 -W 2 fd00:9::1").ExitCode);
    }

    [Fact]
    public void FirewallOfIPv6_WithAnRpFilterOfItsOwn_LetsEspArrive()
    {
        using var host = Strict();
        host.Host.Exec("nft", "add table inet mine");
        host.Host.Exec("nft", "add chain inet mine p { type filter hook prerouting priority -290 ; }");
        host.Host.Exec("nft", "add rule inet mine p icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept");
        host.Host.Exec("nft", "add rule inet mine p meta nfproto ipv6 fib saddr . mark . iif oif missing drop");
        host.Add(Out("fd00:9::1/128", "fd00:9::2/128"), In("fd00:9::2/128", "fd00:9::1/128"));
        host.FlushGuard();
        using var encapsulated = host.Host.Listen(4500, AddressFamily.InterNetworkV6);

        host.Peer.SendUdp("fd00:9::2", "fd00:9::1", 4500);

        Assert.True(encapsulated.Receives());
    }

    [Fact]
    public void Translated_PacketForAProtectedHost_IsNotExempt()
    {
        using var host = Strict();
        host.Host.Sysctl("ipv4/ip_forward", "1");
        host.Host.Sysctl("ipv4/conf/all/rp_filter", "0");
        host.Host.Sysctl("ipv4/conf/eth0/rp_filter", "0");
        host.Host.Exec("nft", "add table ip mine");
        host.Host.Exec("nft", "add chain ip mine c { type nat hook prerouting priority -100 ; }");
        host.Host.Exec("nft", "add rule ip mine c udp dport 6000 dnat to 10.2.0.5");
        host.Add(Out("192.168.0.0/24", "10.2.0.0/16"));
        host.FlushGuard();

        host.Peer.SendUdp("192.168.0.2", "192.168.0.1", 6000);

        Assert.Contains(host.ReadTunnel(packet => packet.DestinationPort == 6000), packet => packet.Destination == Ip("10.2.0.5"));
    }

    [Fact]
    public void HostToHost_IPv6_PingOfTheLinkStillResolves()
    {
        using var host = Strict();
        host.Add(Out("fd00:9::1/128", "::/0"), In("::/0", "fd00:9::1/128"));
        host.FlushGuard();
        using var encapsulated = host.Host.Listen(4500, AddressFamily.InterNetworkV6);
        host.Peer.Ip("-6 neigh flush all");
        host.Host.Ip("-6 neigh flush all");

        host.Peer.SendUdp("fd00:9::2", "fd00:9::1", 4500);

        Assert.True(encapsulated.Receives());
    }

    /// <summary>A firewall that saves the mark of what arrives to its connection and restores it to what is sent; it counts what it saves.</summary>
    private static void SaveMarks(RoutedHost host)
    {
        host.Host.Exec("nft", "add table inet mine");
        host.Host.Exec("nft", "add chain inet mine saved");
        host.Host.Exec("nft", "add rule inet mine saved counter");
        host.Host.Exec("nft", "add chain inet mine p { type filter hook prerouting priority mangle ; }");
        host.Host.Exec("nft", "add rule inet mine p counter ct mark set meta mark");
        host.Host.Exec("nft", "add rule inet mine p ct mark != 0 jump saved");
        host.Host.Exec("nft", "add chain inet mine o { type route hook output priority mangle ; }");
        host.Host.Exec("nft", "add rule inet mine o meta mark set ct mark");
    }

    /// <summary>A host behind this one, which becomes a gateway: lan0 10.1.0.1, fd00:1::1 ─── 10.1.0.7, fd00:1::7.</summary>
    private static NetworkNamespace Behind(RoutedHost host)
    {
        var behind = NetworkNamespace.Create("behind");
        host.Host.LinkTo(behind, "lan0", ["10.1.0.1/24", "fd00:1::1/64"], ["10.1.0.7/24", "fd00:1::7/64"]);
        behind.Ip("route add default via 10.1.0.1");
        behind.Ip("-6 route add default via fd00:1::1");
        host.Host.Sysctl("ipv4/ip_forward", "1");
        host.Host.Sysctl("ipv6/conf/all/forwarding", "1");
        return behind;
    }

    private static RoutedHost Strict()
    {
        var host = new RoutedHost(start: false);
        host.Host.Sysctl("ipv4/conf/all/rp_filter", "1");
        host.Host.Sysctl("ipv4/conf/eth0/rp_filter", "1");
        host.Start();
        Assert.True(host.Controller.Guard.Arrival.IsActive, host.Controller.Guard.Arrival.ToString());
        Assert.True(host.Controller.Guard.Neighbors.IsActive, host.Controller.Guard.Neighbors.ToString());
        return host;
    }
}
