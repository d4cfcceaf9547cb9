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

    [Fact]
    public void Updown_AsTheDocumentChangesIt_OpensTheFirewallForAClientAndClosesItAgain()
    {
        Requirements.Need("iptables", "ip6tables");
        using var net = new RoadWarriors(1, masquerade: true);
        foreach (string command in (string[])["iptables", "ip6tables"])
        {
            net.MoonHost.Sh($"{command} -P INPUT DROP").Expect();
            net.MoonHost.Sh($"{command} -P FORWARD DROP").Expect();
            net.MoonHost.Sh($"{command} -A INPUT -i lo -j ACCEPT").Expect();
        }

        net.MoonHost.Sh("iptables -A INPUT -p udp -m multiport --dports 500,4500 -j ACCEPT").Expect();
        net.MoonHost.Sh("ip6tables -A INPUT -p icmpv6 -j ACCEPT").Expect();
        string load = AlgoServer.Block("strongswan.conf").Split('\n').Single(line => line.Contains("load =", StringComparison.Ordinal));
        var server = AlgoServer.Start(net, [("leftupdown", "\"/etc/ipsec.d/updown iptables\"")], $"user = root\n  group = root\n{load} updown", firewall: false);
        server.Run($"sh {net.Own(new TemporaryFolder("updown")).Write("commands", AlgoServer.Block("sh"))}").Expect();
        string closed = Rules(net);
        var carol = net.StartClient(1, Plane.Libipsec, AlgoServer.Client, AlgoServer.Address);

        carol.Initiate("everything");
        foreach (string rule in (string[])["-s 10.48.0.1/32 -i esp0", "-d 10.48.0.1/32 -o esp0", "-s 2001:db8:4160::1/128 -i esp0", "-d 2001:db8:4160::1/128 -o esp0"])
        {
            Assert.Contains($"-A FORWARD {rule} -j ACCEPT", Rules(net), StringComparison.Ordinal);
        }

        foreach (string address in carol.Sa().LocalAddresses.Split(' '))
        {
            carol.Host.Sh($"ping -c 3 -i 0.05 -W 2 {(address.Contains('.', StringComparison.Ordinal) ? "10.1.0.10" : "fec1::10")}").Expect();
            net.AliceHost.Sh($"ping -c 3 -i 0.05 -W 2 {address}").Expect();
        }

        carol.Terminate("home");
        Wait.Until(() => Rules(net) == closed, () => $"the rules are gone\n{Rules(net)}");
        // It was these rules that let packets through.
        carol.Initiate("everything");
        net.MoonHost.Sh("iptables -F FORWARD").Expect();
        Assert.NotEqual(0, carol.Host.Sh("ping -c 1 -W 1 10.1.0.10").ExitCode);
    }

    private static string Rules(RoadWarriors net) => net.MoonHost.Sh("iptables -S").Expect().Output + net.MoonHost.Sh("ip6tables -S").Expect().Output;
}
