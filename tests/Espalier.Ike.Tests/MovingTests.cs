using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Peers whose addresses change in mid-flow: by a NAT in between, or their own (MOBIKE); with selectors of everything.</summary>
public sealed class MovingTests
{
    public static TheoryData<Road> Roads { get; } = [Road.Gateway, Road.Client, Road.Algo, Road.AlgoAndClient];

    public static TheoryData<Plane, Plane> Sites { get; } = new()
    {
        { Plane.Espalier, Plane.Libipsec },
        { Plane.Libipsec, Plane.Espalier },
        { Plane.Espalier, Plane.Espalier },
    };

    [Theory]
    [MemberData(nameof(Roads))]
    public void Nat_MappingChangesInMidFlow_TrafficGoesOn(Road road)
    {
        // kernel-libipsec hears of a mapping from IKE only: the client's DPD tells it.
        using var tunnel = new RoadTunnel(road, new RoadSettings { DpdDelay = 2, Mobike = false });
        using var pings = new PingFlow(tunnel.Client.Host, RoadTunnel.Alice);
        ChangeMapping(tunnel.Net, tunnel.Gateway, pings);
        tunnel.Ping();
    }

    [Theory]
    [MemberData(nameof(Sites))]
    public void Nat_MappingOfASiteChangesInMidFlow_TrafficGoesOn(Plane moon, Plane carol)
    {
        using var tunnel = new MovingSites(moon, carol, masquerade: true, "mobike = no\n    dpd_delay = 2s");
        using var pings = tunnel.StartPings();
        ChangeMapping(tunnel.Net, tunnel.Gateway, pings);
        tunnel.Ping();
    }

    [Theory]
    [MemberData(nameof(Roads))]
    public void Mobike_ClientsAddressChanges_TrafficGoesOn(Road road)
    {
        // kernel-libipsec's exception for its peer keeps the old way, so there the selector leaves the peer's address out.
        using var tunnel = new RoadTunnel(road, new RoadSettings { Masquerade = false, Far = road is Road.Gateway or Road.Algo ? "10.1.0.0/16" : null });
        using var pings = new PingFlow(tunnel.Client.Host, RoadTunnel.Alice);
        Move(tunnel.Net, tunnel.Gateway, tunnel.Client, pings);
        tunnel.Ping();
    }

    [Theory]
    [MemberData(nameof(Sites))]
    public void Mobike_AddressOfASiteChanges_TrafficGoesOn(Plane moon, Plane carol)
    {
        using var tunnel = new MovingSites(moon, carol, masquerade: false, "mobike = yes");
        using var pings = tunnel.StartPings();
        Move(tunnel.Net, tunnel.Gateway, tunnel.Initiator, pings);
        tunnel.Ping();
    }

    private static void ChangeMapping(RoadWarriors net, IIkeDaemon gateway, PingFlow pings)
    {
        Assert.Equal("192.0.2.254", gateway.Sa().RemoteHost);
        pings.AwaitAnswers(30);

        net.ChangeMapping();

        pings.AwaitAnswers(100, 30);
        pings.Finish();
        Wait.Until(() => gateway.Sa().RemoteHost == "192.0.2.253", () => $"the gateway knows the new mapping\n{gateway.Log}");
        if (gateway.Espalier is not null)
        {
            // By the ESP that came from elsewhere, as the kernel reports it.
            Assert.Contains("NAT mappings of CHILD_SA", gateway.Log, StringComparison.Ordinal);
        }
    }

    // She moves into another network of the same router.
    private static void Move(RoadWarriors net, IIkeDaemon gateway, Charon carol, PingFlow pings)
    {
        string before = carol.Sa().UniqueId;
        pings.AwaitAnswers(30);

        net.Router.Ip("address add 10.0.9.1/24 dev lan1");
        carol.Host.Ip("address add 10.0.9.2/24 dev lan1");
        carol.Host.Ip("route replace default via 10.0.9.1");
        carol.Host.Ip("address del 10.0.1.2/24 dev lan1");

        Wait.Until(
            () => gateway.Sas() is [{ RemoteHost: "10.0.9.2" }] && carol.Sa().LocalHost == "10.0.9.2",
            () => $"both know the new address\n{gateway.Log}\n{carol.Host.Sh("ip route show table all").Text}\n{carol.Host.Sh("ip rule").Text}\n{carol.Host.Sh("ip addr").Text}", 20);
        pings.AwaitAnswers(100, 20);
        Assert.Equal(before, carol.Sa().UniqueId);
    }
}
