using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Replayed, forged, truncated and foreign packets on the wire: one counter each, and nothing else changes.</summary>
public sealed class HostileTests
{
    private const int EthernetIPv4AndUdp = 14 + 20 + 8;

    [Fact]
    public void Tunnel_HostilePackets_EachCountsOnceAndNothingElseChanges()
    {
        Requirements.Need("ping", "tcpdump");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        byte[] genuine = Capture(hosts);
        byte[] forged = [.. genuine];
        BinaryPrimitives.WriteUInt32BigEndian(forged.AsSpan(4), 50); // a number not seen yet, so that the ICV is what fails
        byte[] unknown = [.. genuine];
        BinaryPrimitives.WriteUInt32BigEndian(unknown, 0x0badcafe);
        byte[] reserved = [.. genuine];
        BinaryPrimitives.WriteUInt32BigEndian(reserved, 7);

        foreach (var (datagram, reason) in new[]
        {
            (genuine, "InboundReplayed"), (forged, "InboundIntegrityFailure"), (unknown, "InboundUnknownSpi"), (reserved, "InboundReservedSpi"),
            (genuine[..30], "InboundMalformedEsp"), (genuine[..33], "InboundMalformedEsp"), (forged[..^1], "InboundIntegrityFailure"),
        })
        {
            var before = Drops(hosts.SunDaemon);
            string state = WithoutCounters(hosts.SunDaemon);
            Send(hosts.Moon, datagram);
            var after = WaitForDrop(hosts.SunDaemon, reason, before.GetValueOrDefault(reason) + 1);

            before[reason] = before.GetValueOrDefault(reason) + 1;
            Assert.Equal(before.OrderBy(p => p.Key, StringComparer.Ordinal), after.OrderBy(p => p.Key, StringComparer.Ordinal));
            Assert.Equal(state, WithoutCounters(hosts.SunDaemon));
        }

        string statistics = hosts.SunDaemon.Exec("ip -s xfrm state").Expect().Output;
        Assert.Contains("replay-window 0 replay 1 failed 2", statistics, StringComparison.Ordinal);
        hosts.Moon.Sh("ping -c 2 -i 0.05 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
    }

    [Fact]
    public void Tunnel_Keepalive_IsIgnoredQuietly()
    {
        Requirements.Need();
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        var before = Drops(hosts.SunDaemon);

        Send(hosts.Moon, [0xff]);
        Send(hosts.Moon, Marker); // counted, so the keepalive before it has been handled too

        AssertOnlyMarker(hosts, before);
        Assert.Equal(0, Relayed(hosts));
    }

    [Fact]
    public void Tunnel_IkeWithoutDaemon_IsRelayedAndAnsweredByTheKernel()
    {
        // Nobody has bound the port: the host answers what it would answer without Espalier.
        Requirements.Need();
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        var before = Drops(hosts.SunDaemon);

        var refusal = hosts.Moon.Run(() =>
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 5000 };
            socket.Connect(new IPEndPoint(IPAddress.Parse("192.168.0.2"), 4500));
            socket.Send(new byte[40]);
            return Assert.Throws<SocketException>(() => socket.Receive(new byte[1]));
        });

        Assert.Equal(SocketError.ConnectionRefused, refusal.SocketErrorCode);
        Send(hosts.Moon, Marker);
        AssertOnlyMarker(hosts, before);
        Assert.Equal(1, Relayed(hosts));
    }

    private static byte[] Marker => [0x0b, 0xad, 0xca, 0xfe, .. new byte[40]];

    private static long Relayed(TwoHosts hosts) => (long)hosts.SunDaemon.Stat()["traffic"]!["ikeRelayed"]!;

    private static void AssertOnlyMarker(TwoHosts hosts, Dictionary<string, long> before)
    {
        var after = WaitForDrop(hosts.SunDaemon, "InboundUnknownSpi", 1);
        before["InboundUnknownSpi"] = 1;
        Assert.Equal(before.OrderBy(p => p.Key, StringComparer.Ordinal), after.OrderBy(p => p.Key, StringComparer.Ordinal));
    }

    private static byte[] Capture(TwoHosts hosts)
    {
        using var capture = new PacketCapture(hosts.Sun, "eth0", "udp port 4500 and src 192.168.0.1");
        hosts.Moon.Sh("ping -c 3 -i 0.05 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
        capture.Finish(atLeast: 3);
        return capture.Frames()[1][EthernetIPv4AndUdp..];
    }

    private static void Send(NetworkNamespace from, byte[] datagram) => from.Run(() =>
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.SendTo(datagram, new IPEndPoint(IPAddress.Parse("192.168.0.2"), 4500));
    });

    private static Dictionary<string, long> WaitForDrop(EspalierProgram daemon, string reason, long count) =>
        Wait.ForValue(() => Drops(daemon), drops => drops.GetValueOrDefault(reason) >= count);

    private static Dictionary<string, long> Drops(EspalierProgram daemon) =>
        daemon.Stat()["drops"]!.AsObject().Where(p => (long)p.Value! > 0).ToDictionary(p => p.Key, p => (long)p.Value!, StringComparer.Ordinal);

    /// <summary>All of `ip xfrm state` that a rejected packet must not change.</summary>
    private static string WithoutCounters(EspalierProgram daemon) => daemon.Exec("ip xfrm state").Expect().Output + daemon.Exec("ip xfrm policy").Expect().Output;
}
