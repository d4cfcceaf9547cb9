using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Limits of CHILD_SAs by bytes, packets and time, on the side of Espalier: the soft one rekeys without loss, the hard one ends the SA.</summary>
public sealed class LifetimeTests
{
    private const string Exact = "rand_bytes = 0\n    rand_packets = 0\n    rand_time = 0";

    public static TheoryData<string, Plane> SoftLimits { get; } = new()
    {
        { "rekey_packets = 150\n    life_packets = 100000", Plane.Libipsec },
        { "rekey_packets = 150\n    life_packets = 100000", Plane.Espalier },
        { "rekey_bytes = 15000\n    life_bytes = 10000000", Plane.Libipsec },
        { "rekey_time = 2s\n    life_time = 60s", Plane.Libipsec },
        { "rekey_time = 2s\n    life_time = 60s", Plane.Espalier },
    };

    public static TheoryData<string, Plane> HardLimits { get; } = new()
    {
        { "rekey_time = 0\n    life_packets = 150", Plane.Libipsec },
        { "rekey_time = 0\n    life_bytes = 15000", Plane.Espalier },
        { "rekey_time = 0\n    life_time = 4s", Plane.Libipsec },
    };

    [Theory]
    [MemberData(nameof(SoftLimits))]
    public void Soft_Reached_IsRekeyedWithoutALostPing(string limits, Plane peer)
    {
        using var site = new Site(Plane.Espalier, peer);
        site.Connect(Site.NetToNet with { OwnChildOptions = $"{limits}\n    {Exact}" });
        string first = site.Moon.Child().SpiIn;
        using var pings = new PingBothWays(site);

        Wait.Until(() => site.Moon.Log.Contains("creating rekey job", StringComparison.Ordinal), "the soft limit is reported");
        Wait.Until(() => site.Moon.Children() is [var child] && child.SpiIn != first, () => $"one new CHILD_SA\n{site.Moon.Log}", 20);
        pings.AwaitAnswers(20);

        pings.ExpectAllAnswered();
    }

    [Theory]
    [MemberData(nameof(HardLimits))]
    public void Hard_Reached_EndsTheSaAtBothEnds(string limits, Plane peer)
    {
        using var site = new Site(Plane.Espalier, peer);
        site.Connect(Site.NetToNet with { OwnChildOptions = $"{limits}\n    {Exact}" });
        string first = site.Moon.Child().SpiIn;
        using var pings = new PingBothWays(site);

        Wait.Until(() => site.Moon.Children().All(child => child.SpiIn != first), () => $"moon's CHILD_SA is gone\n{site.Moon.Log}", 20);
        Wait.Until(() => site.Sun.Children().All(child => child.SpiOut != first), () => $"sun's CHILD_SA is gone\n{site.Sun.Log}", 20);
        Assert.Contains("creating delete job", site.Moon.Log, StringComparison.Ordinal);
        Wait.Until(() => !Associations.Contains(site.Moon.Espalier!, first), "Espalier has no longer that SA");
    }
}
