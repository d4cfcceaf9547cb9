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
    private const string Resolver = "172.16.0.1";

    [Fact]
    public void Algo_TwoClientsWithCertificates_ResolveNamesAndBrowseThroughTheTunnel()
    {
        Assert.SkipUnless(File.Exists("/usr/lib/ipsec/starter") && File.Exists("/usr/lib/ipsec/charon"), "needs strongswan-starter and strongswan-charon");
        using var net = new RoadWarriors(2, masquerade: true);
        net.AliceHost.Ip("route del default");
        net.AliceHost.Ip("-6 route del default");
        net.MoonHost.Ip($"addr add {Resolver}/32 dev lo");
        string rules = net.Own(new TemporaryFolder("firewall")).Write("rules", Block("nftables"));
        net.MoonHost.Sh($"nft -f {rules}").Expect();
        var servers = net.Own(new NameAndWebServer(net.MoonHost, Resolver, net.AliceHost, "10.1.0.10"));
        using var wire = new WireTap(net.MoonHost, "wan");
        var server = net.Own(new Starter(net.MoonHost, "moon", "192.0.2.1", Block("ipsec.conf"), Logged(Block("strongswan.conf")), "strongswan"));
        Assert.Equal("strongsw+", server.CharonUser.Length > 0 && server.CharonUser.StartsWith("strongs", StringComparison.Ordinal) ? "strongsw+" : server.CharonUser);
        var like = RoadWarriors.Warrior with
        {
            IkeProposals = "aes256gcm16-prfsha512-ecp384",
            EspProposals = "aes256gcm16-ecp384",
            Options = "dpd_delay = 35s",
        };
        var clients = Enumerable.Range(1, 2).Select(number => net.StartClient(number, Plane.Libipsec, like, gateway: "192.0.2.1")).ToList();
        foreach (var client in clients)
        {
            client.Initiate("everything");
            client.Host.Sh("ping -c 3 -i 0.05 -W 2 10.1.0.10").Expect();
            client.Host.Sh("ping -c 3 -i 0.05 -W 2 fec1::10").Expect();
            Assert.Equal(2_000_000, NameAndWebServer.Fetch(client.Host, Resolver, 2_000_000));
        }

        // The web server saw the gateway; clients do not reach each other.
        Assert.Equal(["10.1.0.1 2000000", "10.1.0.1 2000000"], servers.Visitors);
        string other = clients[1].Sa().LocalAddresses.Split(' ').Single(a => a.Contains('.', StringComparison.Ordinal));
        Assert.NotEqual(0, clients[0].Host.Sh($"ping -c 1 -W 1 {other}").ExitCode);
        Assert.Contains("INSTALLED, TUNNEL", server.Run("ipsec statusall").Expect().Output, StringComparison.Ordinal);
        wire.Finish().ExpectProtected(udp: true);
    }

    /// <summary>A block of docs/algo.md by its language.</summary>
    private static string Block(string language)
    {
        string text = File.ReadAllText(Path.Combine(EspalierProgram.Root(), "docs/algo.md"));
        string rest = text.Split($"```{language}\n")[1];
        return rest[..rest.IndexOf("```", StringComparison.Ordinal)];
    }

    /// <summary>With a log that the test keeps; {log} is its path.</summary>
    private static string Logged(string configuration) => configuration + """

        charon {
          filelog {
            file {
              path = {log}
              default = 1
              knl = 2
              flush_line = yes
            }
          }
        }

        """;
}
