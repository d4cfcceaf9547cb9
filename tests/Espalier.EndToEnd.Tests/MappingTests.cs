using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// A NAT between the hosts that changes its port.
/// <code>
///  moon 10.1.0.1            nat                                     sun 10.2.0.1
///  192.168.0.1 ── veth ── 192.168.0.254 | 172.16.0.254:N ── veth ── 172.16.0.2
///                          masquerade of UDP 4500 to port N
/// </code>
/// </summary>
public sealed class MappingTests
{
    [Fact]
    public void Nat_ChangesItsPort_IsToldOncePerChangeAfterTheIcvAndChangesNothing()
    {
        Requirements.Need("ping", "nft");
        using var moon = NetworkNamespace.Create("moon");
        using var nat = NetworkNamespace.Create("nat");
        using var sun = NetworkNamespace.Create("sun");
        Join(moon, nat, sun);
        using var moonDaemon = EspalierProgram.Start(moon);
        using var sunDaemon = EspalierProgram.Start(sun);
        Masquerade(nat, 20001);
        Key(moonDaemon, "192.168.0.1", 4500, "172.16.0.2", moonIsLocal: true);
        Key(sunDaemon, "172.16.0.254", 20001, "172.16.0.2", moonIsLocal: false);
        using var monitor = new XfrmMonitor(sun, sunDaemon).WaitUntilSubscribed(sunDaemon);

        moon.Sh("ping -c 2 -i 0.02 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
        Assert.Equal(0, monitor.Count("Mapping change"));

        // Forged packets from elsewhere are counted and tell nothing.
        byte[] forged = new byte[96];
        BinaryPrimitives.WriteUInt32BigEndian(forged, TwoHosts.MoonToSun);
        BinaryPrimitives.WriteUInt32BigEndian(forged.AsSpan(4), 1000);
        nat.Run(() => Send(forged, 20009, 3));
        Assert.True(Wait.For(() => sunDaemon.Drops("InboundIntegrityFailure") == 3));

        Masquerade(nat, 20002);
        var lost = moon.Sh("ping -c 4 -i 0.02 -W 0.3 -I 10.1.0.1 10.2.0.1");
        monitor.Expect("Mapping change");

        // The pings arrive; the answers go where the SA says, which is nowhere any more.
        Assert.Contains(" 0 received", lost.Output, StringComparison.Ordinal);
        Assert.Equal(6, (int)sunDaemon.Stat()["traffic"]!["packetsIn"]!);
        Assert.Equal(1, monitor.Count("Mapping change"));
        Assert.Contains("Mapping change 172.16.0.254:20001 -> 172.16.0.254:20002", monitor.Text, StringComparison.Ordinal);
        Assert.Contains($"reqid 0x1 protocol esp SPI 0x{TwoHosts.MoonToSun:x}", monitor.Text.Replace("  ", " ", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Equal(1, (int)sunDaemon.Stat()["controlSocket"]!["mappings"]!);
        Assert.Contains("sport 20001 dport 4500", sunDaemon.Exec("ip xfrm state").Expect().Output, StringComparison.Ordinal);

        // What an IKE daemon does then: both SAs get the new port.
        sunDaemon.Exec($"ip xfrm state update {SaWords("172.16.0.254", "172.16.0.2", TwoHosts.MoonToSun)} encap espinudp 20002 4500 0.0.0.0").Expect();
        sunDaemon.Exec($"ip xfrm state update {SaWords("172.16.0.2", "172.16.0.254", TwoHosts.SunToMoon)} encap espinudp 4500 20002 0.0.0.0").Expect();
        moon.Sh("ping -c 2 -i 0.02 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
        Assert.Equal(1, monitor.Count("Mapping change"));

        // And once more for the next change.
        Masquerade(nat, 20003);
        moon.Sh("ping -c 3 -i 0.02 -W 0.2 -I 10.1.0.1 10.2.0.1");
        monitor.Expect("172.16.0.254:20002 -> 172.16.0.254:20003");
        Assert.Equal(2, monitor.Count("Mapping change"));
    }

    private static string Algorithm { get; } = $"aead rfc4106(gcm(aes)) {TwoHosts.GcmKey()} 128";

    private static void Join(NetworkNamespace moon, NetworkNamespace nat, NetworkNamespace sun)
    {
        moon.LinkTo(nat, "inside", ["192.168.0.1/24"], ["192.168.0.254/24"]);
        nat.LinkTo(sun, "outside", ["172.16.0.254/24"], ["172.16.0.2/24"]);
        moon.Ip("route add default via 192.168.0.254");
        nat.Sysctl("ipv4/ip_forward", "1");
        moon.Ip("addr add 10.1.0.1/16 dev lo");
        sun.Ip("addr add 10.2.0.1/16 dev lo");
    }

    /// <summary>Another port for what is masqueraded. The kernel forgets masqueraded connections of a device that goes down.</summary>
    private static void Masquerade(NetworkNamespace nat, int port)
    {
        nat.Sh("nft delete table ip espalier_test_nat");
        nat.Sh("nft add table ip espalier_test_nat").Expect();
        nat.Sh("nft add chain ip espalier_test_nat post { type nat hook postrouting priority 100 ; }").Expect();
        nat.Sh(string.Create(CultureInfo.InvariantCulture, $"nft add rule ip espalier_test_nat post oif outside ip saddr 192.168.0.1 udp sport 4500 masquerade to :{port}")).Expect();
        nat.Ip("link set outside down");
        nat.Ip("link set outside up");
    }

    private static void Key(EspalierProgram daemon, string moon, int moonPort, string sun, bool moonIsLocal)
    {
        string Encap(int source, int destination) => string.Create(CultureInfo.InvariantCulture, $"encap espinudp {source} {destination} 0.0.0.0");
        daemon.Exec($"ip xfrm state add {SaWords(moon, sun, TwoHosts.MoonToSun)} {Encap(moonPort, 4500)}").Expect();
        daemon.Exec($"ip xfrm state add {SaWords(sun, moon, TwoHosts.SunToMoon)} {Encap(4500, moonPort)}").Expect();
        if (moonIsLocal)
        {
            TwoHosts.Protect(daemon, "10.1.0.0/16", "10.2.0.0/16", moon, sun);
        }
        else
        {
            TwoHosts.Protect(daemon, "10.2.0.0/16", "10.1.0.0/16", sun, moon);
        }
    }

    private static string SaWords(string source, string destination, uint spi) => string.Create(
        CultureInfo.InvariantCulture, $"src {source} dst {destination} proto esp spi {spi} reqid 1 mode tunnel flag af-unspec replay-window 128 {Algorithm}");

    private static void Send(byte[] datagram, int port, int times)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Parse("172.16.0.254"), port));
        for (int i = 0; i < times; i++)
        {
            socket.SendTo(datagram, new IPEndPoint(IPAddress.Parse("172.16.0.2"), 4500));
        }
    }
}
