using System.Globalization;
using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>
/// vpnc, a client for gateways of Cisco's, with an IKE and an ESP of its own: IKEv1 in aggressive mode with a group's secret, XAUTH and mode config. The gateway is charon
/// on Espalier.
/// </summary>
public sealed class VpncTests
{
    private const string Gateway = """
        connections {
          v {
            version = 1
            aggressive = yes
            local_addrs = 192.0.2.1
            pools = four
            proposals = aes128-sha1-modp1024
            local {
              auth = psk
              id = 192.0.2.1
            }
            remote {
              auth = psk
              id = keyid:group
            }
            remote-xauth {
              auth = xauth
            }
            children {
              c {
                local_ts = 10.1.0.0/16
                esp_proposals = aes256-sha1
              }
            }
          }
        }
        secrets {
          xauth-bob {
            id = bob
            secret = password
          }
        }
        """;

    [Theory]
    [InlineData(true, "natt", "TUNNEL-in-UDP")]
    [InlineData(false, "none", "TUNNEL")]
    public void Client_WithIkeAndEspOfItsOwn_CarriesEverySizeBothWaysUntilItEnds(bool masquerade, string mode, string tunnel)
    {
        Requirement.Tool("vpnc");
        Assert.SkipUnless(File.Exists("/usr/lib/ipsec/plugins/libstrongswan-xauth-generic.so"), "needs libcharon-extauth-plugins");
        using var net = new RoadWarriors(1, masquerade);
        using var wire = new WireTap(net.MoonHost, "wan");
        var moon = net.Own(new Charon(net.MoonHost, "moon", Plane.Espalier, new CharonOptions
        {
            Load = "xauth-generic unity",
            Settings = "i_dont_care_about_security_and_use_aggressive_mode_psk = yes\n  cisco_unity = yes",
        }));
        moon.Load([], RoadWarriors.Pools + Gateway);
        var client = StartClient(net, mode);

        Wait.Until(
            () => client.HasExited || net.ClientHosts[0].Sh("ip route show dev vpnc0").Output.Contains("10.1.0.0/16", StringComparison.Ordinal), () => $"{client.Printed}\n{moon.Log}");

        // The first packets may be faster than charon: the SA is then larval, or its policies are not there yet.
        Wait.Until(() => client.HasExited || net.ClientHosts[0].Sh("ping -c 1 -W 1 10.1.0.10").ExitCode == 0, () => moon.Log);
        Assert.False(client.HasExited, client.Printed);
        string drops = moon.Espalier!.Stat()["drops"]!.ToJsonString();
        foreach (int size in (ReadOnlySpan<int>)[0, 1, 17, 18, 19, 1280, 1400, 3000])
        {
            string text = size.ToString(CultureInfo.InvariantCulture);
            net.ClientHosts[0].Sh($"ping -c 1 -W 5 -s {text} 10.1.0.10").Expect();
            net.AliceHost.Sh($"ping -c 1 -W 5 -M dont -s {text} 10.48.0.1").Expect();
        }

        var stat = moon.Espalier.Stat();
        Assert.Equal(drops, stat["drops"]!.ToJsonString());
        Assert.Equal(0, (long)stat["counters"]!["unusualPadding"]!);
        Assert.Contains(tunnel + ",", moon.Swanctl("--list-sas").Expect().Output, StringComparison.Ordinal);
        wire.Finish().ExpectProtected(udp: masquerade);

        Assert.True(client.Terminate(), client.Printed);
        Wait.Until(() => Associations.Count(moon.Espalier) == 0, () => moon.Log);
    }

    private static DaemonProcess StartClient(RoadWarriors net, string mode)
    {
        var folder = net.Own(new TemporaryFolder("vpnc"));
        var carol = net.ClientHosts[0];

        // The client's TUN gets no link-local address: vpnc sends IPv6 as if it were IPv4.
        carol.Sysctl("ipv6/conf/default/addr_gen_mode", "1");
        string script = folder.Write("script", """
            if [ "$reason" = connect ]; then
              ip link set dev $TUNDEV mtu 1400 up
              ip address add $INTERNAL_IP4_ADDRESS/32 dev $TUNDEV
              ip route add 10.1.0.0/16 dev $TUNDEV
            fi

            """);
        string configuration = folder.Write("vpnc.conf", $"""
            IPSec gateway 192.0.2.1
            IPSec ID group
            IPSec secret 0123456789abcdef
            Xauth username bob
            Xauth password password
            NAT Traversal Mode {mode}
            Perfect Forward Secrecy nopfs
            Script sh {script}
            Pidfile {folder.Path}/pid
            Interface name vpnc0
            Noninteractive
            No Detach

            """);
        return net.Own(new DaemonProcess(carol, ["vpnc", configuration]));
    }
}
