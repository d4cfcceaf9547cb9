using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>The policies of RFC 4301 §5 in every direction between hosts behind the gateways (see <see cref="Gateways"/>), and what no policy covers.</summary>
public sealed class PolicyTests(Gateways hosts) : IClassFixture<Gateways>, IDisposable
{
    private const string NotEsp = $"not (udp port 4500) and not (ip proto 50) and not (ip6 proto 50) and not arp and not ({PacketCapture.NeighborDiscovery})";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Inbound_LocalDestination_NeedsTheInPolicyAndOthersTheFwdPolicy(bool inner6)
    {
        hosts.Key(inner6: inner6);
        string selector = $"src {Gateways.AliceNet(inner6)} dst {Gateways.BobNet(inner6)}", gateway = inner6 ? "fd02::1" : "10.2.0.1";
        hosts.SunDaemon.Exec($"ip xfrm policy delete {selector} dir fwd").Expect();

        AssertDropped("InboundNoPolicy", () => hosts.Ping(inner6, count: 2, wait: "0.2"), 2);
        hosts.Alice.Sh($"ping -n -c 1 -W 2 {gateway}").Expect();

        hosts.Key(inner6: inner6);
        hosts.SunDaemon.Exec($"ip xfrm policy delete {selector} dir in").Expect();
        AssertDropped("InboundNoPolicy", () => hosts.Alice.Sh($"ping -n -c 2 -i 0.02 -W 0.2 {gateway}"), 2);
        hosts.Ping(inner6).Expect();
    }

    [Fact]
    public void Inbound_AddressAddedAndRemoved_ChangesBetweenInAndFwd()
    {
        // Local addresses are followed through rtnetlink: with 10.2.0.77 on sun itself the in policy decides, without it fwd.
        hosts.Key();
        hosts.SunDaemon.Exec($"ip xfrm policy delete src {Gateways.AliceNet(false)} dst {Gateways.BobNet(false)} dir fwd").Expect();
        hosts.Sun.Ip("addr add 10.2.0.77/32 dev lo");
        try
        {
            hosts.Alice.Sh("ping -n -c 5 -i 0.2 -W 1 10.2.0.77").Expect();
        }
        finally
        {
            hosts.Sun.Ip("addr del 10.2.0.77/32 dev lo");
        }

        long before = hosts.SunDaemon.Drops("InboundNoPolicy");
        Wait.Until(
            () =>
            {
                hosts.Alice.Sh("ping -n -c 1 -W 0.2 10.2.0.77");
                return hosts.SunDaemon.Drops("InboundNoPolicy") > before;
            },
            "the notice of the kernel has come");
        AssertDropped("InboundNoPolicy", () => hosts.Alice.Sh("ping -n -c 2 -i 0.02 -W 0.2 10.2.0.77"), 2);
    }

    [Theory]
    [InlineData("in", "OutboundNoSa", true)]
    [InlineData("reqid", "InboundTemplateMismatch", false)]
    [InlineData("source", "InboundTemplateMismatch", false)]
    [InlineData("allow", "InboundTemplateMismatch", false)]
    public void Policy_ThatTheTunnelDoesNotSatisfy_DropsAndCounts(string what, string reason, bool outbound)
    {
        hosts.Key();
        string selector = $"src {Gateways.AliceNet(false)} dst {Gateways.BobNet(false)}";
        if (outbound)
        {
            hosts.MoonDaemon.Exec($"ip xfrm state delete src {Gateways.MoonAt(false)} dst {Gateways.SunAt(false)} proto esp spi {Gateways.MoonToSun}").Expect();
        }
        else
        {
            string template = what switch
            {
                "reqid" => $"tmpl src {Gateways.MoonAt(false)} dst {Gateways.SunAt(false)} proto esp reqid 7 mode tunnel",
                "source" => $"tmpl src 192.168.0.9 dst {Gateways.SunAt(false)} proto esp reqid 1 mode tunnel",
                _ => "",
            };
            hosts.SunDaemon.Exec($"ip xfrm policy update {selector} dir fwd {template}").Expect();
        }

        AssertDropped(reason, () => hosts.Ping(false, count: 2, wait: "0.2"), 2, outbound);
    }

    [Theory]
    [InlineData("out", "OutboundPolicyBlock")]
    [InlineData("fwd", "InboundPolicyBlock")]
    public void Policy_BlockWithMorePriority_DropsAndCounts(string direction, string reason)
    {
        hosts.Key();
        var daemon = direction == "out" ? hosts.MoonDaemon : hosts.SunDaemon;
        Gateways.Batch(hosts.MoonDaemon, "xfrm policy flush");
        Gateways.Batch(hosts.SunDaemon, "xfrm policy flush");
        hosts.Protect("10.1.0.0/16", "10.2.0.0/16", outer6: false, "priority 100", "priority 100");
        daemon.Exec($"ip xfrm policy add src 10.1.0.10/32 dst 10.2.0.10/32 proto icmp dir {direction} action block priority 10").Expect();

        AssertDropped(reason, () => hosts.Ping(false, count: 2, wait: "0.2"), 2, direction == "out");
        hosts.Alice.Sh("ping -n -c 1 -W 2 10.2.0.1").Expect();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Outbound_NoPolicyForThisProtocol_GoesOnInClear(bool inner6)
    {
        // The destination is caught, the exact selector (TCP only) does not match: in clear, through the router, and answered in clear.
        hosts.Key(inner6: inner6);
        hosts.Both("xfrm policy flush");
        hosts.Protect(Gateways.AliceNet(inner6), Gateways.BobNet(inner6), outer6: false, "proto tcp", "proto tcp");
        long before = Bypassed();
        using var capture = new PacketCapture(hosts.Router, "wanb", $"src host {Gateways.AliceAt(inner6)}");

        hosts.Ping(inner6, count: 3).Expect();

        capture.Finish(3);
        Assert.Equal(3, capture.Frames().Count);
        Assert.Equal(before + 3, Bypassed());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Outbound_DefaultBlock_DropsWhatNoPolicyCovers(bool inner6)
    {
        hosts.Key(inner6: inner6);
        hosts.Both("xfrm policy flush");
        hosts.Protect(Gateways.AliceNet(inner6), Gateways.BobNet(inner6), outer6: false, "proto tcp", "proto tcp");
        // What comes out of the tunnel needs a policy of its own on its way to alice.
        hosts.MoonDaemon.Exec($"ip xfrm policy add src {Gateways.BobNet(inner6)} dst {Gateways.AliceNet(inner6)} proto tcp dir out").Expect();
        hosts.MoonDaemon.Exec("ip xfrm policy setdefault out block").Expect();
        try
        {
            // Everything is routed into the TUN now, and so is the way back to alice, which strict rp_filter looks up.
            AssertDropped("OutboundNoPolicy", () => hosts.Ping(inner6, count: 2, wait: "0.2"), 2, outbound: true);
            AssertDropped(
                "OutboundNoPolicy", () => hosts.Moon.Sh($"ping -n -c 2 -i 0.02 -W 0.2 -I {(inner6 ? "fd01::1" : "10.1.0.1")} {Gateways.BobAt(inner6)}"), 2, outbound: true);
            using var clear = new PacketCapture(hosts.Router, "wanb", Clear(inner6));
            Assert.Equal(Gateways.AliceAt(inner6), TcpPeerOfAlice(inner6));
            clear.Finish();
            Assert.Empty(clear.Frames());
        }
        finally
        {
            hosts.MoonDaemon.Exec("ip xfrm policy setdefault out accept").Expect();
        }

        hosts.Ping(inner6).Expect();
    }

    [Fact]
    public void Outbound_SeveralSas_TheNewestThatIsNotDyingIsUsed()
    {
        const uint Newer = 0x10000003, Dying = 0x10000004;
        hosts.Key();
        foreach (var (spi, limit) in new[] { (Newer, ""), (Dying, "limit packet-soft 2 limit packet-hard 100") })
        {
            hosts.Both($"xfrm state add {Gateways.Association(spi, false, Gateways.MoonToSun)} {limit} {Gateways.Gcm()} {Gateways.Encapsulation(false, true)}".Replace(
                "replay-window 128", "replay-window 0", StringComparison.Ordinal));
        }

        using var capture = new PacketCapture(hosts.Router, "wana", $"src host {Gateways.MoonAt(false)} and udp port 4500");
        for (int i = 0; i < 4; i++)
        {
            hosts.Ping(false, wait: "0.2");
        }

        hosts.MoonDaemon.Exec($"ip xfrm state delete src {Gateways.MoonAt(false)} dst {Gateways.SunAt(false)} proto esp spi {Newer}").Expect();
        hosts.Ping(false).Expect();
        capture.Finish(5);

        uint[] used = [.. capture.Frames().Select(f => BinaryPrimitives.ReadUInt32BigEndian(IpHeader.Of(f).Payload.AsSpan(8)))];
        Assert.Equal(5, used.Length);
        int turn = Array.IndexOf(used, Newer);
        Assert.InRange(turn, 2, 3); // the packet that reaches the soft limit still uses the SA
        Assert.All(used[..turn], spi => Assert.Equal(Dying, spi));
        Assert.All(used[turn..4], spi => Assert.Equal(Newer, spi));
        Assert.Equal(Gateways.MoonToSun, used[4]);
    }

    public void Dispose() => hosts.Both("xfrm policy flush");

    private static string Clear(bool inner6) => $"{NotEsp} and ({(inner6 ? "ip6" : "ip")})";

    /// <summary>Alice connects to bob and is answered; the address that bob sees.</summary>
    private string TcpPeerOfAlice(bool inner6)
    {
        var family = inner6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork;
        using var server = hosts.Bob.Run(() => new Socket(family, SocketType.Stream, ProtocolType.Tcp));
        server.Bind(new IPEndPoint(IPAddress.Parse(Gateways.BobAt(inner6)), 0));
        server.Listen(1);
        using var client = hosts.Alice.Run(() => new Socket(family, SocketType.Stream, ProtocolType.Tcp) { ReceiveTimeout = 3000 });
        Assert.True(client.ConnectAsync(server.LocalEndPoint!).Wait(TimeSpan.FromSeconds(3)), "no connection");
        using var accepted = server.Accept();
        accepted.Send([1]);
        Assert.Equal(1, client.Receive(new byte[1]));
        return ((IPEndPoint)accepted.RemoteEndPoint!).Address.ToString();
    }

    private long Bypassed() => (long)hosts.MoonDaemon.Stat()["traffic"]!["packetsBypassed"]!;

    private void AssertDropped(string reason, Func<ShellResult> traffic, int count, bool outbound = false)
    {
        var daemon = outbound ? hosts.MoonDaemon : hosts.SunDaemon;
        long before = daemon.Drops(reason);

        Assert.NotEqual(0, traffic().ExitCode);

        Assert.Equal(before + count, Wait.ForValue(() => daemon.Drops(reason), before + count));
    }
}
