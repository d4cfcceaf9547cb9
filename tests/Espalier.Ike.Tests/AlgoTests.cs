using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>
/// docs/algo.md as written: the configuration of Algo's VPN server (ciphers, stroke, user strongswan, compression offered) by `ipsec start` on Espalier, and
/// its firewall with the TUN in the place of netfilter's policy match. The topology is that of <see cref="RoadWarriors"/>; alice is a web server in the Internet that
/// knows no way back to the virtual addresses, so the gateway masquerades them.
/// </summary>
public sealed class AlgoTests
{
    [Fact]
    public void Algo_TwoClientsWithCertificates_ResolveNamesAndBrowseThroughTheTunnel()
    {
        using var net = new RoadWarriors(2, masquerade: true);
        net.AliceHost.Ip("route del default");
        net.AliceHost.Ip("-6 route del default");
        using var wire = new WireTap(net.MoonHost, "wan");
        var server = AlgoServer.Start(net);
        var servers = net.Own(new NameAndWebServer(net.MoonHost, AlgoServer.Resolver, net.AliceHost, "10.1.0.10"));
        Assert.StartsWith("strongs", server.CharonUser, StringComparison.Ordinal);
        var clients = Enumerable.Range(1, 2).Select(number => net.StartClient(number, Plane.Libipsec, AlgoServer.Client, AlgoServer.Address)).ToList();
        foreach (var client in clients)
        {
            client.Initiate("everything");
            client.Host.Sh("ping -c 3 -i 0.05 -W 2 10.1.0.10").Expect();
            client.Host.Sh("ping -c 3 -i 0.05 -W 2 fec1::10").Expect();
            Assert.Equal(2_000_000, NameAndWebServer.Fetch(client.Host, AlgoServer.Resolver, 2_000_000));
        }

        // The web server saw the gateway; clients do not reach each other.
        Assert.Equal(["10.1.0.1 2000000", "10.1.0.1 2000000"], servers.Visitors);
        string other = clients[1].Sa().LocalAddresses.Split(' ').Single(a => a.Contains('.', StringComparison.Ordinal));
        Assert.NotEqual(0, clients[0].Host.Sh($"ping -c 1 -W 1 {other}").ExitCode);
        Assert.Contains("INSTALLED, TUNNEL", server.Run("ipsec statusall").Expect().Output, StringComparison.Ordinal);
        wire.Finish().ExpectProtected(udp: true);
    }
}
