using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;

namespace Espalier.Ike.Tests;

/// <summary>CHILD_SA and IKE_SA are rekeyed by either side while 100 pings a second go each way: not one is lost.</summary>
public sealed class RekeyTests
{
    [Theory]
    [MemberData(nameof(Pairs.All), MemberType = typeof(Pairs))]
    public void Rekey_OfChildAndIkeByEitherSide_NoPingIsLost(Plane moon, Plane sun)
    {
        using var site = new Site(moon, sun);
        using var wire = new WireTap(site.MoonHost, "wan");
        site.Connect(Site.NetToNet);
        using var pings = new PingBothWays(site);

        foreach (var initiator in new[] { site.Moon, site.Sun })
        {
            initiator.RekeyChild();
            pings.AwaitAnswers(30);
            initiator.RekeyIke();
            pings.AwaitAnswers(30);
        }

        pings.ExpectAllAnswered();
        wire.Finish().ExpectProtected(udp: site.Moon.Child().Encapsulated);
        foreach (var gateway in new[] { site.Moon, site.Sun }.Where(gateway => gateway.Espalier is not null))
        {
            // The peer of the rekeying keeps the old inbound SA for a few seconds.
            Espalier.Testing.Wait.Until(() => Associations.Count(gateway.Espalier!) == 2, "the old SAs are gone");
        }
    }
}
