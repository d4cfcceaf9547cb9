using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Limits of CHILD_SAs by bytes, packets and time, on the side of Espalier: the soft one rekeys without loss, the hard one ends the SA.</summary>
public sealed class LifetimeTests
{
    public static MatrixTheoryData<Limit, (Plane Moon, Plane Sun)> SoftLimits { get; } = new(Limit.SoonSoft, Sides);

    public static MatrixTheoryData<Limit, (Plane Moon, Plane Sun)> HardLimits { get; } = new(Limit.SoonHard, Sides);

    private static (Plane Moon, Plane Sun)[] Sides => [(Plane.Espalier, Plane.Libipsec), (Plane.Libipsec, Plane.Espalier), (Plane.Espalier, Plane.Espalier)];

    [Theory]
    [MemberData(nameof(SoftLimits))]
    public void Soft_Reached_IsRekeyedWithoutALostPing(Limit limit, (Plane Moon, Plane Sun) sides)
    {
        using var site = Connect(limit, sides.Moon, sides.Sun, out var own, out _);
        string first = own.Child().SpiIn;
        using var pings = new PingBothWays(site);

        Wait.Until(() => own.Log.Contains("creating rekey job", StringComparison.Ordinal), "the soft limit is reported");
        Wait.Until(() => own.Children() is [var child] && child.SpiIn != first, () => $"one new CHILD_SA\n{own.Log}", 20);
        pings.AwaitAnswers(20);

        pings.ExpectAllAnswered();
    }

    [Theory]
    [MemberData(nameof(HardLimits))]
    public void Hard_Reached_EndsTheSaAtBothEnds(Limit limit, (Plane Moon, Plane Sun) sides)
    {
        using var site = Connect(limit, sides.Moon, sides.Sun, out var own, out var peer);
        string first = own.Child().SpiIn;
        using var pings = new PingBothWays(site);

        Wait.Until(() => own.Children().All(child => child.SpiIn != first), () => $"the CHILD_SA is gone\n{own.Log}", 20);
        Wait.Until(() => peer.Children().All(child => child.SpiOut != first), () => $"the peer's CHILD_SA is gone\n{peer.Log}", 20);
        Assert.Contains("creating delete job", own.Log, StringComparison.Ordinal);
        Wait.Until(() => !Associations.Contains(own.Espalier!, first), "Espalier has no longer that SA");
    }

    /// <summary>Up, from moon, with the limit at the side of Espalier.</summary>
    private static Site Connect(Limit limit, Plane moon, Plane sun, out Charon own, out Charon peer)
    {
        var site = new Site(moon, sun);
        (own, peer) = moon == Plane.Espalier ? (site.Moon, site.Sun) : (site.Sun, site.Moon);
        peer.Load(peer == site.Moon ? Site.NetToNet : Site.NetToNet.Mirrored);
        own.Load((own == site.Moon ? Site.NetToNet : Site.NetToNet.Mirrored) with { OwnChildOptions = limit.Swanctl });
        site.Moon.Initiate("net-net");
        return site;
    }
}
