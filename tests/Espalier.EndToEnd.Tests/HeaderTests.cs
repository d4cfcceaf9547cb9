using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// What passes between inner and outer header (RFC 4301 §5.1.2, RFC 6040), with the outer header captured at the router, where nftables
/// also changes it, and the inner one at bob.
/// </summary>
public sealed class HeaderTests(Gateways hosts) : IClassFixture<Gateways>
{
    private const int ExpeditedForwarding = 46 << 2;

    /// <summary>Outer and inner family, encapsulation.</summary>
    public static TheoryData<bool, bool, bool> Combinations { get; } = new()
    {
        { false, false, true }, { false, false, false }, { false, true, true }, { false, true, false },
        { true, false, true }, { true, false, false }, { true, true, true }, { true, true, false },
    };

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Outer_TrafficClass_IsTheInnerOne(bool outer6, bool inner6, bool udp)
    {
        // RFC 4301 §5.1.2.1, RFC 6040 §4.1 (normal mode): DSCP and ECN are copied.
        hosts.Key(outer6, inner6, udp);
        int[] classes = [0, ExpeditedForwarding, ExpeditedForwarding | 1, 2, 3, 0xff];

        Assert.Equal(classes, OuterHeaders(inner6, classes).Select(h => h.TrafficClass));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Outer_DontEncapDscp_HasNoDscpButTheEcn(bool outer6, bool inner6)
    {
        hosts.Key(outer6, inner6, extra: "extra-flag dont-encap-dscp");

        Assert.Equal([0, 2, 1], OuterHeaders(inner6, ExpeditedForwarding, ExpeditedForwarding | 2, 1).Select(h => h.TrafficClass));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Outer_NoEcn_IsNotEct(bool outer6, bool inner6)
    {
        // RFC 6040 §4.1: compatibility mode.
        hosts.Key(outer6, inner6, extra: "flag noecn");

        Assert.Equal([0, ExpeditedForwarding, 0], OuterHeaders(inner6, 2, ExpeditedForwarding | 1, 3).Select(h => h.TrafficClass));
    }

    [Theory]
    [InlineData(false, false, true)]
    [InlineData(false, false, false)]
    [InlineData(false, true, true)]
    public void OuterIPv4_DontFragment_IsTheInnerOneAndSetForIPv6(bool outer6, bool inner6, bool udp)
    {
        // RFC 4301 §8.1; an IPv6 packet is never fragmented on its way.
        hosts.Key(outer6, inner6, udp);

        Assert.True(Outer(inner6, "-M do").DontFragment);
        Assert.Equal(inner6, Outer(inner6, "-M dont").DontFragment);
        Assert.True(Outer(inner6, "-M do").DontFragment);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void OuterIPv4_NoPmtuDiscovery_NeverHasDontFragment(bool inner6)
    {
        hosts.Key(inner6: inner6, extra: "flag nopmtudisc");

        Assert.False(Outer(inner6, "-M do").DontFragment);
        Assert.False(Outer(inner6, "-M dont").DontFragment);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Inner_TimeToLive_FallsByOneAtEachGatewayAndTheOuterIsItsOwn(bool outer6, bool inner6)
    {
        // RFC 4301 §5.1.2.1 note 3: the encapsulating gateway counts down, the outer TTL is a constant.
        hosts.Key(outer6, inner6);
        using var outer = AtRouter();
        using var inner = AtBob(inner6);

        hosts.Ping(inner6, "-t 9").Expect();

        outer.Finish(1);
        inner.Finish(1);
        Assert.Equal(64, IpHeader.Of(outer.Frames()[0]).HopLimit);
        Assert.Equal(7, IpHeader.Of(inner.Frames()[0]).HopLimit);
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Inner_CongestionExperiencedOnTheWay_ReachesBob(bool outer6, bool inner6, bool udp)
    {
        // RFC 6040 §4.2. Bob answers, so the checksum of his IPv4 header is right.
        hosts.Key(outer6, inner6, udp);
        hosts.OnRouter($"iif wana {Family(outer6)} ecn set ce");

        Assert.Equal([3, ExpeditedForwarding | 3, 3], InnerAtBob(inner6, 2, ExpeditedForwarding | 1, 3).Select(h => h.TrafficClass));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Inner_CongestionExperiencedOverNotEct_IsDroppedAndCounted(bool outer6, bool inner6)
    {
        // RFC 6040 §4.2: an inner Not-ECT packet cannot say that there was congestion, so loss says it.
        hosts.Key(outer6, inner6);
        hosts.OnRouter($"iif wana {Family(outer6)} ecn set ce");
        long drops = hosts.SunDaemon.Drops("InboundEcnForbidden"), alerts = Alerts();

        Assert.NotEqual(0, hosts.Ping(inner6, "-Q 0", count: 3, wait: "0.2").ExitCode);

        Assert.Equal(drops + 3, hosts.SunDaemon.Drops("InboundEcnForbidden"));
        Assert.Equal(alerts + 3, Alerts());
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Inner_EctChangedOnTheWay_FollowsTheTable(bool outer6, bool inner6)
    {
        // RFC 6040 §4.2, figure 4: outer ECT(1) over inner ECT(0) becomes ECT(1), over Not-ECT it stays Not-ECT, over CE it stays CE.
        hosts.Key(outer6, inner6);
        hosts.OnRouter($"iif wana {Family(outer6)} ecn set ect1");

        Assert.Equal([1, 1, 0, 3], InnerAtBob(inner6, 2, 1, 0, 3).Select(h => h.TrafficClass));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Inner_NoEcn_IsLeftAlone(bool outer6, bool inner6)
    {
        hosts.Key(outer6, inner6, extra: "flag noecn");
        hosts.OnRouter($"iif wana {Family(outer6)} ecn set ce");

        Assert.Equal([0, 2, 1], InnerAtBob(inner6, 0, 2, 1).Select(h => h.TrafficClass));
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Inner_Dscp_IsTheOuterOneOnlyWithDecapDscp(bool outer6, bool inner6)
    {
        const int Cs3 = 24 << 2;
        hosts.Key(outer6, inner6);
        hosts.OnRouter($"iif wana {Family(outer6)} dscp set cs3");
        Assert.Equal([ExpeditedForwarding | 2], InnerAtBob(inner6, ExpeditedForwarding | 2).Select(h => h.TrafficClass));

        hosts.Key(outer6, inner6, extra: "flag decap-dscp");
        hosts.OnRouter($"iif wana {Family(outer6)} dscp set cs3");
        Assert.Equal([Cs3 | 2, Cs3], InnerAtBob(inner6, ExpeditedForwarding | 2, 0).Select(h => h.TrafficClass));
    }

    private static string Family(bool ipv6) => ipv6 ? "ip6" : "ip";

    private long Alerts() => (long)hosts.SunDaemon.Stat()["counters"]!["ecnAlerts"]!;

    private PacketCapture AtRouter() => new(hosts.Router, "wana", $"({Esp}) and (src host {Gateways.MoonAt(false)} or src host {Gateways.MoonAt(true)})");

    private PacketCapture AtBob(bool inner6) => new(hosts.Bob, "lanb", $"src host {Gateways.AliceAt(inner6)}");

    private const string Esp = "udp port 4500 or ip proto 50 or ip6 proto 50";

    private IpHeader Outer(bool inner6, string options)
    {
        using var capture = AtRouter();
        hosts.Ping(inner6, options).Expect();
        capture.Finish(1);
        return IpHeader.Of(Assert.Single(capture.Frames()));
    }

    private IpHeader[] OuterHeaders(bool inner6, params int[] classes) => Capture(AtRouter(), inner6, classes);

    private IpHeader[] InnerAtBob(bool inner6, params int[] classes) => Capture(AtBob(inner6), inner6, classes);

    private IpHeader[] Capture(PacketCapture capture, bool inner6, int[] classes)
    {
        using (capture)
        {
            foreach (int trafficClass in classes)
            {
                hosts.Ping(inner6, $"-Q {trafficClass}").Expect();
            }

            capture.Finish(classes.Length);
            return [.. capture.Frames().Select(IpHeader.Of)];
        }
    }
}
