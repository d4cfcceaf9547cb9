using System.Net;
using System.Net.Sockets;
using Espalier.EndToEnd.Tests.Hosts;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// A client with a virtual address and a selector of everything: what it sends without naming a source goes through the tunnel,
/// with the virtual address, and nothing leaves in clear.
/// <code>
///  moon: 10.9.0.1/32 (lo)                       sun: 10.2.0.1 (lo)
///  eth0 192.168.0.1 ──────────── veth ────────── eth0 192.168.0.2
///  policy 10.9.0.1/32 → 0.0.0.0/0, which covers sun's outer address too
/// </code>
/// </summary>
public sealed class LeakTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Client_VirtualAddressAndEverySelector_NothingInClear(int reversePathFilter)
    {
        Requirements.Need("ping", "tcpdump");
        using var hosts = Connected(reversePathFilter);
        using var capture = new PacketCapture(hosts.Moon, "eth0", "ip and not udp port 4500");

        hosts.Moon.Sh("ping -c 2 -i 0.05 -W 2 10.2.0.1").Expect();
        hosts.Moon.Sh("ping -c 2 -i 0.05 -W 2 192.168.0.2").Expect();
        foreach (bool connected in new[] { false, true })
        {
            Assert.Equal("10.9.0.1", UdpEcho(hosts, connected));
        }

        Assert.Equal("10.9.0.1", TcpPeer(hosts));
        capture.Finish();

        Assert.Empty(capture.Frames());
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
        hosts.Moon.Ip("route add default via 192.168.0.2");
        hosts.Moon.Sysctl("ipv4/conf/all/rp_filter", $"{reversePathFilter}");
        hosts.Associate(outer6: false, udp: true);
        TwoHosts.Protect(hosts.MoonDaemon, "10.9.0.1/32", "0.0.0.0/0", "192.168.0.1", "192.168.0.2");
        TwoHosts.Protect(hosts.SunDaemon, "0.0.0.0/0", "10.9.0.1/32", "192.168.0.2", "192.168.0.1");
        return hosts;
    }

    /// <summary>The source address that sun sees of an unbound UDP socket on moon.</summary>
    private static string UdpEcho(TwoHosts hosts, bool connected)
    {
        using var server = hosts.Sun.Run(() => Bound(SocketType.Dgram, ProtocolType.Udp));
        using var client = hosts.Moon.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 3000 });
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

        EndPoint peer = new IPEndPoint(IPAddress.Any, 0);
        server.ReceiveFrom(new byte[16], ref peer);
        server.SendTo([2], peer);
        Assert.Equal(1, client.Receive(new byte[16]));
        return ((IPEndPoint)peer).Address.ToString();
    }

    private static string TcpPeer(TwoHosts hosts)
    {
        using var server = hosts.Sun.Run(() => Bound(SocketType.Stream, ProtocolType.Tcp));
        server.Listen(1);
        using var client = hosts.Moon.Run(() => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        client.Connect((IPEndPoint)server.LocalEndPoint!);
        using var accepted = server.Accept();
        return ((IPEndPoint)accepted.RemoteEndPoint!).Address.ToString();
    }

    private static Socket Bound(SocketType type, ProtocolType protocol)
    {
        var socket = new Socket(AddressFamily.InterNetwork, type, protocol) { ReceiveTimeout = 3000 };
        socket.Bind(new IPEndPoint(IPAddress.Parse("10.2.0.1"), 0));
        return socket;
    }
}
