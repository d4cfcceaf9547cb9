using System.Net;
using System.Net.Sockets;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Tests.Hosts;
using Espalier.Wire.Packets;
using static Espalier.Routing.Tests.Hosts.Build;
using static Espalier.Routing.Tests.Hosts.LocalTraffic;

namespace Espalier.Routing.Tests;

/// <summary>What reaches the TUN, with which source, and what leaves in clear. The hosts are drawn at <see cref="RoutedHost"/>.</summary>
public sealed class CatchTests
{
    public static TheoryData<string, string, string, string> Everything() => new()
    {
        { "10.3.0.1", "0.0.0.0/0", "10.2.0.5", "ip" },
        { "10.3.0.1", "0.0.0.0/0", "192.168.0.2", "ip" },
        { "fd00:3::1", "::/0", "fd00:2::5", "ip6" },
        { "fd00:3::1", "::/0", "fd00:9::2", "ip6" },
    };

    [Theory]
    [MemberData(nameof(Everything))]
    public void VirtualAddress_LocalTraffic_HasItAndNothingLeavesInClear(string virtualAddress, string selector, string destination, string family)
    {
        using var host = new RoutedHost();
        AddVirtual(host, virtualAddress);
        host.Add(Out(virtualAddress + (family == "ip" ? "/32" : "/128"), selector));
        using var capture = new ClearCapture(host.Host, "eth0", family == "ip" ? "ip" : "ip6 and (udp or tcp or icmp6[0]==128)");

        SendUnconnected(host, destination, 4001);
        host.AssertCaught(destination, virtualAddress, packet => packet.Protocol == IpProtocol.Udp && packet.DestinationPort == 4001);

        Assert.Equal(virtualAddress, SendConnected(host, destination, 4002));
        host.AssertCaught(destination, virtualAddress, packet => packet.Protocol == IpProtocol.Udp && packet.DestinationPort == 4002);

        StartTcp(host, destination, 4003);
        host.AssertCaught(destination, virtualAddress, packet => packet.Protocol == IpProtocol.Tcp && packet.DestinationPort == 4003);

        host.Try($"ping -c 1 -W 1 {destination}");
        host.AssertCaught(destination, virtualAddress, packet => packet.Protocol is IpProtocol.Icmp or IpProtocol.IcmpV6);

        Assert.Empty(capture.Finish());
    }

    [Fact]
    public void Gateway_OfARouteAddedLater_IsNotLookedForInTheTunnel()
    {
        using var host = new RoutedHost();
        AddVirtual(host, "10.3.0.1");
        host.Add(Out("10.3.0.1/32", "0.0.0.0/0"));

        host.Host.Ip("route add 203.0.113.0/24 via 192.168.0.2");

        Assert.Contains("via 192.168.0.2 dev eth0", host.Host.Ip("route show 203.0.113.0/24"), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Everything))]
    public void Crash_TunnelGone_ProtectedTrafficFailsClosed(string virtualAddress, string selector, string destination, string family)
    {
        using var host = new RoutedHost();
        AddVirtual(host, virtualAddress);
        host.Add(Out(virtualAddress + (family == "ip" ? "/32" : "/128"), selector));
        using var capture = new ClearCapture(host.Host, "eth0", family == "ip" ? "ip" : "ip6 and (udp or tcp or icmp6[0]==128)");

        host.Crash();

        // IPv4 says at once that there is no route; IPv6 may say so after it took the first packet.
        foreach (var send in new Action[] { () => SendUnconnected(host, destination, 4001), () => SendConnected(host, destination, 4002) })
        {
            var refused = Record.Exception(send);
            Assert.True(refused is SocketException || (refused is null && family == "ip6"), refused?.Message);
        }

        Assert.NotEqual(0, host.Try($"ping -c 1 -W 1 {destination}").ExitCode);
        Assert.NotEqual(0, host.Try($"ping -c 1 -W 1 -I {virtualAddress} {destination}").ExitCode);
        Assert.Empty(capture.Finish());
    }

    [Fact]
    public void Block_Policy_PacketsReachTheTunnel()
    {
        using var host = new RoutedHost();
        host.Add(Policy(PolicyDirection.Out, Selector("0.0.0.0/0", "10.2.0.0/16"), action: PolicyAction.Block));

        SendUnconnected(host, "10.2.0.5", 4001);

        // 192.168.0.1 is what the kernel's own route would choose.
        host.AssertCaught("10.2.0.5", "192.168.0.1", packet => packet.DestinationPort == 4001);
    }

    [Fact]
    public void Default_BlocksOutbound_EverythingReachesTheTunnel()
    {
        using var host = new RoutedHost();
        using (host.Database.Freeze())
        {
            host.Database.Spd.DefaultBlocks[(int)PolicyDirection.Out] = true;
        }

        host.Host.Run(() => host.Controller.Process());
        SendUnconnected(host, "10.2.0.5", 4001);
        host.AssertCaught("10.2.0.5", "192.168.0.1", packet => packet.DestinationPort == 4001);

        host.Database.Spd.DefaultBlocks[(int)PolicyDirection.Out] = false;
        host.Host.Run(() => host.Controller.Process());
        Assert.Equal("", host.Routes("4550"));
    }

    [Fact]
    public void Source_OtherThanThePolicys_KeepsTheKernelsWay()
    {
        using var host = new RoutedHost();
        AddVirtual(host, "10.3.0.1");
        host.Add(Out("10.3.0.1/32", "0.0.0.0/0"));
        using var capture = new ClearCapture(host.Host, "eth0", "udp");

        host.Host.Run(() =>
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(new IPEndPoint(IPAddress.Parse("192.168.0.1"), 0));
            socket.SendTo([1], new IPEndPoint(IPAddress.Parse("192.168.0.2"), 4001));
        });

        Assert.DoesNotContain(host.ReadTunnel(packet => true, 200), packet => packet.DestinationPort == 4001);
        Assert.Contains(capture.Finish(), line => line.Contains("192.168.0.2.4001", StringComparison.Ordinal));
    }

    [Fact]
    public void Passing_PolicyInsideAProtectedPrefix_GivesItsOwnSource()
    {
        using var host = new RoutedHost();
        AddVirtual(host, "10.3.0.1");
        host.Add(Out("10.3.0.1/32", "0.0.0.0/0", 200));
        var lan = Policy(PolicyDirection.Out, Selector("192.168.0.0/24", "192.168.0.0/24"), 50, passes: true);
        host.Add(lan);

        SendUnconnected(host, "192.168.0.2", 4001);
        host.AssertCaught("192.168.0.2", "192.168.0.1", packet => packet.DestinationPort == 4001);

        host.Remove(lan);
        SendUnconnected(host, "192.168.0.2", 4002);
        host.AssertCaught("192.168.0.2", "10.3.0.1", packet => packet.DestinationPort == 4002);
    }

    [Fact]
    public void Forwarded_Traffic_ReachesTheTunnel()
    {
        using var host = new RoutedHost();
        host.Host.Sysctl("ipv4/ip_forward", "1");
        host.Host.Sysctl("ipv6/conf/all/forwarding", "1");
        host.Peer.Ip("address add 10.1.0.7/32 dev lo");
        host.Peer.Ip("address add fd00:1::7/128 dev lo nodad");
        host.Host.Ip("route add 10.1.0.0/16 via 192.168.0.2");
        host.Host.Ip("-6 route add fd00:1::/64 via fd00:9::2");
        host.Peer.Ip("route add 10.2.0.0/16 via 192.168.0.1");
        host.Peer.Ip("-6 route add fd00:2::/64 via fd00:9::1");
        host.Add(Out("10.1.0.0/16", "10.2.0.0/16"), Out("fd00:1::/64", "fd00:2::/64"));

        // The kernel takes seconds to resolve the neighbour when it asks with an address of another interface.
        host.Peer.Exec("ping", "-c", "1", "fd00:9::1");
        Send(host.Peer, "10.1.0.7", "10.2.0.5", 4001);
        host.AssertCaught("10.2.0.5", "10.1.0.7", packet => packet.DestinationPort == 4001);
        Send(host.Peer, "fd00:1::7", "fd00:2::5", 4002);
        host.AssertCaught("fd00:2::5", "fd00:1::7", packet => packet.DestinationPort == 4002);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Tunnel_Up_IsSilent(bool forwarding)
    {
        using var host = new RoutedHost(start: false);
        foreach (string path in new[] { "ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/default/forwarding" })
        {
            host.Host.Sysctl(path, forwarding ? "1" : "0");
        }

        host.Start();
        var packets = host.ReadTunnel(static _ => false, 2500);

        Assert.Empty(packets);
        Assert.DoesNotContain("inet6", host.Host.Ip("address show dev esp0"), StringComparison.Ordinal);
    }

    // disable_ipv6 on all devices is a common setting; the TUN is an exception to it, so that what is forwarded can be protected.
    [Fact]
    public void IPv6_SwitchedOffOnAllDevices_PoliciesOfBothVersionsAreRouted()
    {
        using var host = new RoutedHost(start: false);
        host.Host.Sysctl("ipv6/conf/all/disable_ipv6", "1");
        host.Host.Sysctl("ipv6/conf/default/disable_ipv6", "1");
        host.Start();

        host.Add(Out("192.168.0.1/32", "10.2.0.0/16"), Out("fd00:1::/64", "fd00:2::/64"));

        Assert.Equal(0, host.Controller.RefusedRoutes);
        Assert.DoesNotContain(host.Log, line => line.StartsWith("Warning", StringComparison.Ordinal));
        Assert.Contains("fd00:2::/64 dev esp0", host.Routes("4550", "-6"), StringComparison.Ordinal);
        SendUnconnected(host, "10.2.0.5", 4001);
        host.AssertCaught("10.2.0.5", "192.168.0.1", packet => packet.DestinationPort == 4001);
        Assert.Empty(host.ReadTunnel(static _ => false, 1200));
    }

    private static void AddVirtual(RoutedHost host, string address) =>
        host.Host.Ip($"address add {address}{(address.Contains(':', StringComparison.Ordinal) ? "/128 dev eth0 nodad" : "/32 dev eth0")}");
}
