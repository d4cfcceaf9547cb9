using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Peers whose addresses change in mid-flow: by a NAT in between, or their own (MOBIKE); with selectors of everything.</summary>
public sealed class MovingTests
{
    public static TheoryData<Plane, Plane> Pairs { get; } = new()
    {
        { Plane.Espalier, Plane.Libipsec },
        { Plane.Espalier, Plane.Espalier },
        { Plane.Libipsec, Plane.Espalier },
    };

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Nat_MappingChangesInMidFlow_TrafficGoesOn(Plane gateway, Plane client)
    {
        using var net = new RoadWarriors(1, masquerade: true);
        // kernel-libipsec hears of a mapping from IKE only: the client's DPD tells it.
        var like = RoadWarriors.Warrior with { Options = "mobike = no\n    dpd_delay = 2s" };
        var moon = net.StartGateway(gateway, like);
        var carol = net.StartClient(1, client, like);
        carol.Initiate("everything");
        string port = moon.Sa().RemotePort;
        using var pings = new PingFlow(carol.Host, "10.1.0.10");
        pings.AwaitAnswers(30);

        net.ChangeMapping();

        pings.AwaitAnswers(100, 30);
        pings.Finish();
        Wait.Until(() => moon.Sa() is var sa && sa.RemotePort != port && sa.RemoteHost == "192.0.2.253", () => $"moon knows the new mapping\n{moon.Log}");
        if (gateway == Plane.Espalier)
        {
            // By the ESP that came from elsewhere, as the kernel reports it.
            Assert.Contains("NAT mappings of CHILD_SA", moon.Log, StringComparison.Ordinal);
        }

        net.AliceHost.Sh($"ping -c 3 -i 0.05 -W 2 {carol.Sa().LocalAddresses.Split(' ')[0]}").Expect();
        carol.Host.Sh("ping -c 3 -i 0.05 -W 2 10.1.0.10").Expect();
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Mobike_ClientsAddressChanges_TrafficGoesOn(Plane gateway, Plane client)
    {
        using var net = new RoadWarriors(1, masquerade: false);
        var moon = net.StartGateway(gateway);
        // kernel-libipsec's exception for its peer keeps the old way, so there the selector leaves the peer's address out.
        var carol = net.StartClient(1, client, far: client == Plane.Libipsec ? "10.1.0.0/16" : null);
        carol.Initiate("everything");
        string before = carol.Sa().UniqueId;
        using var pings = new PingFlow(carol.Host, "10.1.0.10");
        pings.AwaitAnswers(30);

        // She moves into another network of the same router.
        net.Router.Ip("address add 10.0.9.1/24 dev lan1");
        carol.Host.Ip("address add 10.0.9.2/24 dev lan1");
        carol.Host.Ip("route replace default via 10.0.9.1");
        carol.Host.Ip("address del 10.0.1.2/24 dev lan1");

        Wait.Until(() => moon.Sas() is [{ RemoteHost: "10.0.9.2" }] && carol.Sa().LocalHost == "10.0.9.2", () => $"both know the new address\n{carol.Host.Sh("ip route show table all").Text}\n{carol.Host.Sh("ip rule").Text}\n{carol.Host.Sh("ip addr").Text}", 20);
        pings.AwaitAnswers(100, 20);
        Assert.Equal(before, carol.Sa().UniqueId);
        carol.Host.Sh("ping -c 3 -i 0.05 -W 2 10.1.0.10").Expect();
        net.AliceHost.Sh($"ping -c 3 -i 0.05 -W 2 {carol.Sa().LocalAddresses.Split(' ')[0]}").Expect();
    }
}
