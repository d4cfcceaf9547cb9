using System.Globalization;
using System.Text.RegularExpressions;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>The TUN's MTU, path MTUs learnt from the router, forged reports, and what becomes of packets that are too large.</summary>
public sealed partial class PathMtuTests(Gateways hosts) : IClassFixture<Gateways>, IDisposable
{
    private const uint NeverUsed = 0x10000099;

    /// <summary>Outer and inner family, encapsulation.</summary>
    public static TheoryData<bool, bool, bool> Combinations => HeaderTests.Combinations;

    /// <summary>Outer family, encapsulation.</summary>
    public static TheoryData<bool, bool> Outers => new() { { false, true }, { false, false }, { true, true }, { true, false } };

    /// <summary>Words of `ip xfrm`, length of IV and ICV, alignment.</summary>
    public static TheoryData<string, int, int, int, bool, bool> Algorithms { get; } = new()
    {
        { $"aead rfc4106(gcm(aes)) {Key(20)} 128", 8, 16, 4, false, true },
        { $"aead rfc4106(gcm(aes)) {Key(36)} 64", 8, 8, 4, false, false },
        { $"aead rfc7539esp(chacha20,poly1305) {Key(36)} 128", 8, 16, 4, true, true },
        { $"aead rfc4309(ccm(aes)) {Key(19)} 96", 8, 12, 4, true, false },
        { $"auth-trunc hmac(sha256) {Key(32)} 128 enc cbc(aes) {Key(16)}", 16, 16, 16, false, true },
        { $"auth-trunc hmac(sha512) {Key(64)} 256 enc cbc(aes) {Key(32)}", 16, 32, 16, true, false },
        { $"auth-trunc hmac(md5) {Key(16)} 96 enc cbc(des3_ede) {Key(24)}", 8, 12, 8, false, false },
        { $"auth-trunc hmac(sha1) {Key(20)} 96 enc rfc3686(ctr(aes)) {Key(20)}", 8, 12, 4, false, true },
    };

    [Theory]
    [MemberData(nameof(Algorithms))]
    public void Tunnel_Mtu_IsTheLargestPacketThatFits(string algorithm, int iv, int icv, int alignment, bool outer6, bool udp)
    {
        hosts.Key(outer6, udp: udp, algorithm: algorithm);
        int expected = InnerMtu(1500, outer6, udp, iv, icv, alignment);
        Assert.Equal(expected, Wait.ForValue(TunnelMtu, expected));
        using var outer = new PacketCapture(hosts.Router, "wana", $"src host {Gateways.MoonAt(outer6)} and not arp and not icmp6");

        PingOfSize(expected, inner6: false, "-M do").Expect();
        var tooBig = PingOfSize(expected + 1, inner6: false, "-M do");

        outer.Finish(1);
        var header = IpHeader.Of(Assert.Single(outer.Frames()));
        Assert.False(header.IsFragment);
        Assert.InRange(header.Length, 1500 - alignment + 1, 1500);
        Assert.Equal(expected, MtuIn(tooBig));
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Path_NarrowLinkBehindTheRouter_IsLearntAndPassedOn(bool outer6, bool inner6, bool udp)
    {
        hosts.Key(outer6, inner6, udp);
        Narrow(1400);

        Assert.NotEqual(0, PingOfSize(1400, inner6, "-M do", wait: "0.3").ExitCode);

        Assert.Equal(1400, Wait.ForValue(hosts.PathMtu, 1400));
        int inner = InnerMtu(1400, outer6, udp);
        Assert.Equal(inner, Wait.ForValue(TunnelMtu, inner));
        Assert.Equal(inner, MtuIn(PingOfSize(1400, inner6, "-M do")));
        PingOfSize(inner, inner6, "-M do").Expect();
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Path_NarrowWhileAnotherTunnelIsWide_EspalierTellsTheSender(bool outer6, bool inner6)
    {
        // The TUN keeps the MTU of the wide tunnel, so the kernel lets the packet through to the data plane.
        hosts.Key(outer6, inner6);
        Gateways.Batch(hosts.MoonDaemon, $"""
            xfrm state add src {Gateways.MoonAt(outer6)} dst {(outer6 ? "fec0:0:0:a::fe" : "192.168.0.254")} proto esp spi 0x20000001 reqid 9 mode tunnel {Gateways.Gcm()}
            """);
        Narrow(1400);
        Learn(inner6);
        int inner = InnerMtu(1400, outer6, udp: true), wide = InnerMtu(1500, outer6, udp: false);
        Assert.Equal(wide, Wait.ForValue(TunnelMtu, wide));
        long sent = Counter("icmpErrorsSent"), drops = hosts.MoonDaemon.Drops("OutboundTooBig");

        var tooBig = PingOfSize(inner + 1, inner6, "-M do");

        Assert.Equal(inner, MtuIn(tooBig));
        Assert.Contains(inner6 ? "From fd01::1 " : "From 10.1.0.1 ", tooBig.Output, StringComparison.Ordinal);
        Assert.Equal(sent + 1, Counter("icmpErrorsSent"));
        Assert.Equal(drops + 1, hosts.MoonDaemon.Drops("OutboundTooBig"));
        PingOfSize(inner, inner6, "-M do").Expect();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Path_NarrowWhileAnotherTunnelIsWide_PacketsWithoutDfAreFragmentedBeforeEsp(bool outer6)
    {
        hosts.Key(outer6);
        Gateways.Batch(hosts.MoonDaemon, $"""
            xfrm state add src {Gateways.MoonAt(outer6)} dst {(outer6 ? "fec0:0:0:a::fe" : "192.168.0.254")} proto esp spi 0x20000001 reqid 9 mode tunnel {Gateways.Gcm()}
            """);
        Narrow(1400);
        Learn(inner6: false);
        hosts.Alice.Sh("ip route flush cache").Expect();
        long fragmented = Counter("fragmentedPackets"), fragments = Counter("fragmentsCreated");
        using var outer = new PacketCapture(hosts.Router, "wanb", $"src host {Gateways.MoonAt(outer6)} and not arp and not icmp6");

        PingOfSize(1400, inner6: false, "-M dont").Expect();

        outer.Finish(2);
        Assert.Equal([false, false], outer.Frames().Select(f => IpHeader.Of(f).IsFragment));
        Assert.Equal(fragmented + 1, Counter("fragmentedPackets"));
        Assert.Equal(fragments + 2, Counter("fragmentsCreated"));
    }

    [Theory]
    [MemberData(nameof(Outers))]
    public void Report_Forged_ChangesNothing(bool outer6, bool udp)
    {
        hosts.Key(outer6, udp: udp);
        hosts.Ping(inner6: false).Expect();
        long ignored = Counter("icmpErrorsIgnored");

        RawPacket.TooBig(hosts.Router, outer6, udp, 1300, NeverUsed, sequence: 1);
        RawPacket.TooBig(hosts.Router, outer6, udp, 1300, Gateways.MoonToSun, sequence: 1_000_000);
        RawPacket.TooBig(hosts.Router, outer6, udp, 1300, Gateways.SunToMoon, sequence: 1);

        Assert.Equal(ignored + 3, Wait.ForValue(() => Counter("icmpErrorsIgnored"), ignored + 3));
        RawPacket.TooBig(hosts.Router, outer6, udp: !udp, 1300, Gateways.MoonToSun, sequence: 1);
        RawPacket.TooBig(hosts.Router, outer6, udp: true, 1300, Gateways.MoonToSun, sequence: 1, port: 4501);
        hosts.Ping(inner6: false, "-s 1300 -M do").Expect();
        Assert.Equal(1500, hosts.PathMtu());
    }

    [Theory]
    [MemberData(nameof(Outers))]
    public void Report_Forged_DoesNotComeBackThroughTheKernelsRoute(bool outer6, bool udp)
    {
        // The kernel believes a report that fits one of our sockets and keeps it with its route; that must not be taken for the route's MTU.
        hosts.Key(outer6, udp: udp);
        hosts.Ping(inner6: false, "-M do").Expect();
        long ignored = Counter("icmpErrorsIgnored");
        RawPacket.TooBig(hosts.Router, outer6, udp, 1300, NeverUsed, sequence: 1);
        Assert.Equal(ignored + 1, Wait.ForValue(() => Counter("icmpErrorsIgnored"), ignored + 1));

        // Of UDP over IPv4 the report hits a socket that only receives, and that says IP_PMTUDISC_OMIT.
        Assert.Equal(outer6 || !udp, hosts.Moon.Ip($"route get {Gateways.SunAt(outer6)}").Contains("mtu 1300", StringComparison.Ordinal));
        string words = $"xfrm state add {Gateways.Association(Gateways.MoonToSun, outer6)} {Gateways.Gcm()} {Gateways.Encapsulation(outer6, udp)}";

        Gateways.Batch(hosts.MoonDaemon, $"""
            xfrm state flush
            {words}
            xfrm state add src 192.168.0.1 dst 198.51.100.1 proto esp spi 0x20000002 reqid 9 mode tunnel {Gateways.Gcm()}
            """);

        Assert.Equal(1500, hosts.PathMtu());
        hosts.Moon.Ip("route add 198.51.100.0/24 via 192.168.0.254 mtu 1400");

        // All paths are measured in one go: once that of this route is known, so is the other.
        Assert.Equal(1400, Wait.ForValue(() => hosts.PathMtu(0x20000002), 1400));
        Assert.Equal(1500, hosts.PathMtu());
        hosts.Moon.Ip("route del 198.51.100.0/24");
    }

    [Theory]
    [MemberData(nameof(Outers))]
    public void Report_AfterAPacketWithoutDf_IsLearntAllTheSame(bool outer6, bool udp)
    {
        hosts.Key(outer6, udp: udp);
        hosts.Ping(inner6: false, "-M dont").Expect();

        RawPacket.TooBig(hosts.Router, outer6, udp, 1390, Gateways.MoonToSun, sequence: 1);

        Assert.Equal(1390, Wait.ForValue(hosts.PathMtu, 1390));
    }

    [Theory]
    [InlineData(false, 68, 576)]
    [InlineData(false, 0, 1492)]
    [InlineData(true, 1000, 1500)]
    [InlineData(true, 1280, 1280)]
    public void Report_BelowTheFloor_IsRaisedOrIgnored(bool outer6, int reported, int expected)
    {
        // RFC 1191 §3 and §7.1, RFC 8201 §4.
        hosts.Key(outer6);
        hosts.Ping(inner6: false, "-M do").Expect();
        long seen = Counter("icmpErrorsIgnored") + Counter("pathMtuLearnt");

        RawPacket.TooBig(hosts.Router, outer6, udp: true, reported, Gateways.MoonToSun, sequence: 1);

        Assert.Equal(seen + 1, Wait.ForValue(() => Counter("icmpErrorsIgnored") + Counter("pathMtuLearnt"), seen + 1));
        Assert.Equal(expected, Wait.ForValue(hosts.PathMtu, expected));
        hosts.Ping(inner6: false, "-s 1400 -M dont").Expect();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void IPv6InIPv4_PathOf1000Bytes_Carries1280AndNamesNoLess(bool udp)
    {
        // RFC 8200 §5, RFC 2473 §7.1: what exceeds the path goes in outer fragments.
        hosts.Key(outer6: false, inner6: true, udp);
        Narrow(1000);
        PingOfSize(1280, inner6: true, "-M do", wait: "0.3");
        Assert.Equal(1000, Wait.ForValue(hosts.PathMtu, 1000));

        PingOfSize(1280, inner6: true, "-M do").Expect();
        Assert.Equal(1280, MtuIn(PingOfSize(1281, inner6: true, "-M do")));
        PingOfSize(2000, inner6: true, "-M dont", wait: "0.3"); // Bob learns the MTU of his way back
        PingOfSize(2000, inner6: true, "-M dont").Expect();
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Packets_LargerThanTheirLinkWithoutDf_Arrive(bool outer6, bool inner6)
    {
        hosts.Key(outer6, inner6);
        Narrow(1400);
        Learn(inner6);

        PingOfSize(1500, inner6, "-M dont", count: 2, wait: "0.3"); // both senders learn their MTU
        PingOfSize(1500, inner6, "-M dont").Expect();
        PingOfSize(6000, inner6, "-M dont").Expect();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void IPv4_NoPmtuDiscovery_TheRouterFragmentsTheOuterPacket(bool udp)
    {
        hosts.Key(udp: udp, extra: "flag nopmtudisc");
        Narrow(1400);

        PingOfSize(1420, inner6: false, "-M do").Expect();

        Assert.Equal(1500, hosts.PathMtu());
    }

    public void Dispose()
    {
        hosts.Router.Sh("ip route del 192.168.1.2/32");
        hosts.Router.Sh("ip -6 route del fec0:0:0:b::2/128");
    }

    private static int InnerMtu(int path, bool outer6, bool udp, int iv = 8, int icv = 16, int alignment = 4)
    {
        int room = path - (outer6 ? 40 : 20) - (udp ? 8 : 0) - 8 - iv - icv;
        return (room / alignment * alignment) - 2;
    }

    private static string Key(int bytes) => "0x" + string.Concat(Enumerable.Range(0, bytes).Select(i => (((i * 37) + 11) & 0xff).ToString("x2", CultureInfo.InvariantCulture)));

    private void Narrow(int mtu)
    {
        hosts.Router.Ip($"route replace 192.168.1.2/32 dev wanb mtu lock {mtu}");
        hosts.Router.Ip($"-6 route replace fec0:0:0:b::2/128 dev wanb mtu lock {Math.Max(mtu, 1280)}");
    }

    private void Learn(bool inner6)
    {
        PingOfSize(1400, inner6, "-M do", wait: "0.3");
        Assert.Equal(1400, Wait.ForValue(hosts.PathMtu, 1400));
    }

    private ShellResult PingOfSize(int packet, bool inner6, string options, int count = 1, string wait = "2") =>
        hosts.Ping(inner6, string.Create(CultureInfo.InvariantCulture, $"-s {packet - (inner6 ? 48 : 28)} {options}"), count, wait);

    private long TunnelMtu() => int.Parse(
        TunnelMtuText().Match(hosts.Moon.Ip("-o link show esp0")).Groups[1].Value, CultureInfo.InvariantCulture);

    private long Counter(string name) => (long)hosts.MoonDaemon.Stat()["counters"]![name]!;

    private static int MtuIn(ShellResult ping)
    {
        var match = ReportedMtuText().Match(ping.Text);
        Assert.True(match.Success, $"no MTU in: {ping.Text}");
        return int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(" mtu ([0-9]+) ")]
    private static partial Regex TunnelMtuText();

    [GeneratedRegex("mtu ?[=:] ?([0-9]+)")]
    private static partial Regex ReportedMtuText();
}
