using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>
/// The configuration of Algo's VPN server (ciphers, stroke, user strongswan, compression offered) by `ipsec start` on Espalier, and its firewall
/// with the TUN in the place of netfilter's policy match. The topology is that of <see cref="RoadWarriors"/>; alice is a web server in the Internet that
/// knows no way back to the virtual addresses, so the gateway masquerades them.
/// </summary>
public sealed class AlgoTests
{
    private const string Resolver = "172.16.0.1";

    private const string IpsecConf = """
        config setup
            uniqueids=never

        conn %default
            fragmentation=yes
            rekey=no
            dpdaction=clear
            keyexchange=ikev2
            compress=yes
            dpddelay=35s
            lifetime=3h
            ikelifetime=12h
            ike=aes256gcm16-prfsha512-ecp384!
            esp=aes256gcm16-ecp384!
            left=%any
            leftauth=pubkey
            leftid=192.0.2.1
            leftcert=192.0.2.1.crt
            leftsendcert=always
            leftsubnet=0.0.0.0/0,::/0
            right=%any
            rightauth=pubkey
            rightsourceip=10.48.0.0/16,2001:db8:4160::/48
            rightdns=172.16.0.1

        conn ikev2-pubkey
            auto=add

        """;

    private const string StrongSwanConf = """
        charon {
          user = strongswan
          group = nogroup
          # kdf is what strongSwan 5.9.6 and later need besides.
          load = aes gcm hmac kdf kernel-netlink nonce openssl pem pgp pkcs12 pkcs7 pkcs8 pubkey random revocation sha2 socket-default stroke x509
          # What docs/strongswan.md asks for.
          interfaces_ignore = esp0
          ignore_routing_tables = 4550 70086 135622
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

    /// <summary>Drops by default; where Algo's rules say `-m policy --pol ipsec`, these say esp0.</summary>
    private const string Firewall = """
        table inet filter {
          chain input {
            type filter hook input priority filter; policy drop
            iifname lo accept
            ct state established,related accept
            meta l4proto esp accept
            udp dport { 500, 4500 } accept
            icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
            iifname esp0 accept
            ip daddr 172.16.0.1 udp dport 53 accept
          }
          chain forward {
            type filter hook forward priority filter; policy drop
            ip saddr 10.48.0.0/16 ip daddr 10.48.0.0/16 drop
            ct state established,related accept
            iifname esp0 ip saddr 10.48.0.0/16 ct state new accept
            iifname esp0 ip6 saddr 2001:db8:4160::/48 ct state new accept
          }
          chain postrouting {
            type nat hook postrouting priority srcnat
            oifname != esp0 ip saddr 10.48.0.0/16 masquerade
            oifname != esp0 ip6 saddr 2001:db8:4160::/48 masquerade
          }
        }

        """;

    [Fact]
    public void Algo_TwoClientsWithCertificates_ResolveNamesAndBrowseThroughTheTunnel()
    {
        Assert.SkipUnless(File.Exists("/usr/lib/ipsec/starter") && File.Exists("/usr/lib/ipsec/charon"), "needs strongswan-starter and strongswan-charon");
        using var net = new RoadWarriors(2, masquerade: true);
        net.AliceHost.Ip("route del default");
        net.AliceHost.Ip("-6 route del default");
        net.MoonHost.Ip($"addr add {Resolver}/32 dev lo");
        string rules = net.Own(new TemporaryFolder("firewall")).Write("rules", Firewall);
        net.MoonHost.Sh($"nft -f {rules}").Expect();
        var servers = net.Own(new NameAndWebServer(net.MoonHost, Resolver, net.AliceHost, "10.1.0.10"));
        using var wire = new WireTap(net.MoonHost, "wan");
        var server = net.Own(new Starter(net.MoonHost, "moon", "192.0.2.1", IpsecConf, StrongSwanConf, "strongswan"));
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
}
