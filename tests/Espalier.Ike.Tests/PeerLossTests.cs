using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Peers that vanish, tunnels that are taken down, daemons that start again.</summary>
public sealed class PeerLossTests
{
    private static readonly CharonOptions Impatient = new() { Settings = "retransmit_timeout = 0.3\n  retransmit_tries = 2" };

    [Theory]
    [MemberData(nameof(Pairs.All), MemberType = typeof(Pairs))]
    public void Dpd_PeerVanishesAndReturns_SasGoAndTheTunnelComesBack(Plane moon, Plane sun)
    {
        using var site = new Site(moon, sun, Impatient, Impatient);
        site.Connect(Site.NetToNet with { Options = "mobike = no\n    dpd_delay = 1s", ChildOptions = "dpd_action = clear" });
        site.AliceHost.Sh("ping -c 2 -i 0.05 -W 2 10.2.0.10").Expect();
        var (own, peer) = moon == Plane.Espalier ? (site.Moon, site.Sun) : (site.Sun, site.Moon);

        peer.Host.Ip("link set wan down");
        Wait.Until(() => own.Sas().Count == 0 && peer.Sas().Count == 0, () => $"both give their peer up\n{own.Log}", 25);
        Wait.Until(() => Associations.Count(own.Espalier!) == 0, "no SA is left");

        peer.Host.Ip("link set wan up");
        peer.Host.Ip(peer == site.Sun ? "route replace 10.1.0.0/16 via 192.168.0.1" : "route replace 10.2.0.0/16 via 192.168.0.2");
        Wait.Until(() => own.Swanctl("--initiate --child net-net --timeout 5").ExitCode == 0, () => $"the tunnel comes back\n{own.Log}", 25);
        Wait.Until(() => site.AliceHost.Sh("ping -c 1 -W 1 10.2.0.10").ExitCode == 0, "pings pass again");
    }

    [Theory]
    [MemberData(nameof(Pairs.All), MemberType = typeof(Pairs))]
    public void Terminate_ByEitherSide_LeavesNoSaPolicyOrRoute(Plane moon, Plane sun)
    {
        using var site = new Site(moon, sun);
        foreach (var side in new[] { site.Moon, site.Sun })
        {
            site.Connect(Site.NetToNet);
            site.AliceHost.Sh("ping -c 2 -i 0.05 -W 2 10.2.0.10").Expect();

            side.Terminate("gw-gw");

            Wait.Until(() => site.Moon.Sas().Count == 0 && site.Sun.Sas().Count == 0, "no IKE_SA is left");
            foreach (var gateway in new[] { site.Moon, site.Sun }.Where(gateway => gateway.Espalier is not null))
            {
                Wait.Until(() => Associations.Count(gateway.Espalier!) == 0, "no SA is left");
                Wait.Until(() => (int)gateway.Espalier!.Stat()["policiesCount"]! == 0, "no policy is left");
                Assert.Equal("", gateway.Host.Sh("ip route show table 4550").Output.Trim());
            }
        }
    }

    [Theory]
    [MemberData(nameof(Pairs.All), MemberType = typeof(Pairs))]
    public void Charon_StoppedAndStartedAgainAtEitherSide_ConnectsAgain(Plane moon, Plane sun)
    {
        using var site = new Site(moon, sun);
        site.Connect(Site.NetToNet);
        site.AliceHost.Sh("ping -c 2 -i 0.05 -W 2 10.2.0.10").Expect();

        foreach (var side in new[] { site.Moon, site.Sun })
        {
            side.StopAndStart();
            Wait.Until(() => site.Moon.Sas().Count == 0 && site.Sun.Sas().Count == 0, "the end of the daemon has been told");
            side.Initiate("net-net");

            site.AliceHost.Sh("ping -c 2 -i 0.05 -W 2 10.2.0.10").Expect();
            site.BobHost.Sh("ping -c 2 -i 0.05 -W 2 10.1.0.10").Expect();
            foreach (var gateway in new[] { site.Moon, site.Sun }.Where(gateway => gateway.Espalier is not null))
            {
                Assert.Equal(2, Associations.Count(gateway.Espalier!));
            }
        }
    }
}
