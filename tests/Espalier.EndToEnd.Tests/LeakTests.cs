using System.Net;
using System.Net.Sockets;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// A client with virtual addresses and a selector of everything: what it sends without naming a source goes through the tunnel,
/// with the virtual address, and nothing leaves in clear.
/// <code>
///  moon: 10.9.0.1/32, fd09::1/128 (lo)          sun: 10.2.0.1, fd02::1 (lo)
///  eth0 192.168.0.1, fec0::1 ───── veth ──────── eth0 192.168.0.2, fec0::2
///  policies 10.9.0.1/32 → 0.0.0.0/0 and fd09::1/128 → ::/0, which cover sun's outer addresses too
/// </code>
/// </summary>
public sealed class LeakTests
{
    // All of IPv4 and IPv6 but the tunnel itself and what keeps the link going.
    private const string Leaks =
        $"(ip or ip6) and not (udp port 4500 and host 192.168.0.1 and host 192.168.0.2) and not ({PacketCapture.NeighborDiscovery})";

    [Theory]
    [InlineData(0, false)]
    [InlineData(1, false)]
    [InlineData(1, true)]
    public void Client_VirtualAddressAndEverySelector_NothingInClear(int reversePathFilter, bool ipv6)
    {
        Requirements.Need("ping", "tcpdump");
        using var hosts = Connected(reversePathFilter);
        using var capture = new PacketCapture(hosts.Moon, "eth0", Leaks);

        string own = ipv6 ? "fd09::1" : "10.9.0.1", far = TwoHosts.Inner(2, ipv6);
        hosts.Moon.Sh($"ping -c 2 -i 0.05 -W 2 {far}").Expect();
        hosts.Moon.Sh($"ping -c 2 -i 0.05 -W 2 {TwoHosts.Outer(2, ipv6)}").Expect();
        foreach (bool connected in new[] { false, true })
        {
            Assert.Equal(own, UdpEcho(hosts, far, connected));
        }

        Assert.Equal(own, TcpPeer(hosts, far));
        capture.Finish();

        Assert.Empty(capture.Frames());
    }

    [Fact]
    public void Capture_OnePingInClear_SeesIt()
    {
        // Without policies both families leave in clear: the filter above hides neither.
        Requirements.Need("ping", "tcpdump");
        using var hosts = new TwoHosts();
        using var capture = new PacketCapture(hosts.Moon, "eth0", Leaks);

        hosts.Moon.Sh("ping -c 1 -W 2 192.168.0.2").Expect();
        hosts.Moon.Sh("ping -c 1 -W 2 fec0::2").Expect();
        capture.Finish(4);

        Assert.Equal(4, capture.Frames().Count);
    }

    [Fact]
    public void Host_ClearPacketsForAProtectedSelector_AreDroppedAndCounted()
    {
        Requirements.Need("ping", "nft");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        // sun has no IPsec any more and sends in clear.
        Assert.Equal(0, hosts.SunDaemon.Stop());
        hosts.Sun.Ip("route add 10.1.0.0/16 via 192.168.0.1");

        var ping = hosts.Sun.Sh("ping -c 3 -i 0.05 -W 1 -I 10.2.0.1 10.1.0.1");

        Assert.NotEqual(0, ping.ExitCode);
        Assert.Equal(3, (long)hosts.MoonDaemon.Stat()["kernelDrops"]!["guard"]!);
    }

    private static TwoHosts Connected(int reversePathFilter)
    {
        var hosts = new TwoHosts();
        hosts.Moon.Ip("addr add 10.9.0.1/32 dev lo");
        hosts.Moon.Ip("addr add fd09::1/128 dev lo nodad");
        hosts.Moon.Ip("route add default via 192.168.0.2");
        hosts.Moon.Ip("-6 route add default via fec0::2");
        hosts.Moon.Sysctl("ipv4/conf/all/rp_filter", $"{reversePathFilter}");
        hosts.Associate(outer6: false, udp: true);
        TwoHosts.Protect(hosts.MoonDaemon, "10.9.0.1/32", "0.0.0.0/0", "192.168.0.1", "192.168.0.2");
        TwoHosts.Protect(hosts.SunDaemon, "0.0.0.0/0", "10.9.0.1/32", "192.168.0.2", "192.168.0.1");
        TwoHosts.Protect(hosts.MoonDaemon, "fd09::1/128", "::/0", "192.168.0.1", "192.168.0.2");
        TwoHosts.Protect(hosts.SunDaemon, "::/0", "fd09::1/128", "192.168.0.2", "192.168.0.1");
        return hosts;
    }

    /// <summary>The source address that sun sees of an unbound UDP socket on moon.</summary>
    private static string UdpEcho(TwoHosts hosts, string address, bool connected)
    {
        using var server = hosts.Sun.Run(() => Bound(address, SocketType.Dgram, ProtocolType.Udp));
        using var client = hosts.Moon.Run(() => new Socket(server.AddressFamily, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 3000 });
        var remote = (IPEndPoint)server.LocalEndPoint!;
        if (connected)
        {
            client.Connect(remote);
            client.Send([1]);
        }
        else
        {
            client.SendTo([1], remote);
        }

        EndPoint peer = new IPEndPoint(remote.AddressFamily == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, 0);
        server.ReceiveFrom(new byte[16], ref peer);
        server.SendTo([2], peer);
        Assert.Equal(1, client.Receive(new byte[16]));
        return ((IPEndPoint)peer).Address.ToString();
    }

    private static string TcpPeer(TwoHosts hosts, string address)
    {
        using var server = hosts.Sun.Run(() => Bound(address, SocketType.Stream, ProtocolType.Tcp));
        server.Listen(1);
        using var client = hosts.Moon.Run(() => new Socket(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
        client.Connect((IPEndPoint)server.LocalEndPoint!);
        using var accepted = server.Accept();
        return ((IPEndPoint)accepted.RemoteEndPoint!).Address.ToString();
    }

    private static Socket Bound(string address, SocketType type, ProtocolType protocol)
    {
        var local = new IPEndPoint(IPAddress.Parse(address), 0);
        var socket = new Socket(local.AddressFamily, type, protocol) { ReceiveTimeout = 3000 };
        socket.Bind(local);
        return socket;
    }
}
