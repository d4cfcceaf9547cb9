using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>
/// The nine scenarios of strongSwan's own libipsec suite (testing/tests/libipsec), by their names: Espalier against kernel-libipsec, once as moon and
/// once as sun; against itself for what kernel-libipsec 5.9.8 cannot do (raw ESP, traps).
/// </summary>
public sealed class LibipsecSuiteTests
{
    private static readonly CharonOptions HostToHostLibipsec = new()
    {
        // As in that suite: a mark keeps IKE and ESP to the peer out of the tunnel that covers the peer's own address.
        Plugins = """
            kernel-netlink {
              fwmark = !0x42
            }
            socket-default {
              fwmark = 0x42
            }
            kernel-libipsec {
              allow_peer_ts = yes
            }
            """,
    };

    public static TheoryData<string, Plane, Plane> Scenarios { get; } = new()
    {
        { "host2host-cert", Plane.Espalier, Plane.Libipsec },
        { "host2host-cert", Plane.Libipsec, Plane.Espalier },
        { "host2host-cert-raw", Plane.Espalier, Plane.Espalier },
        { "net2net-3des", Plane.Espalier, Plane.Libipsec },
        { "net2net-3des", Plane.Libipsec, Plane.Espalier },
        { "net2net-cert", Plane.Espalier, Plane.Libipsec },
        { "net2net-cert", Plane.Libipsec, Plane.Espalier },
        { "net2net-cert-ip6-in-ip6-raw", Plane.Espalier, Plane.Espalier },
        { "net2net-cert-raw", Plane.Espalier, Plane.Espalier },
        { "net2net-null", Plane.Espalier, Plane.Libipsec },
        { "net2net-null", Plane.Libipsec, Plane.Espalier },
    };

    [Theory]
    [MemberData(nameof(Scenarios))]
    public void Scenario_PingAndTcpBothWays_InEspWithTrueCounters(string name, Plane moon, Plane sun)
    {
        var connection = Named(name);
        bool raw = name.EndsWith("-raw", StringComparison.Ordinal), hosts = name.StartsWith("host2host", StringComparison.Ordinal), ipv6 = name.Contains("ip6", StringComparison.Ordinal);
        using var site = new Site(moon, sun, Options(moon, hosts), Options(sun, hosts));
        foreach (var gateway in new[] { site.Moon, site.Sun }.Where(gateway => hosts && gateway.Plane == Plane.Libipsec))
        {
            // Its route to the peer leads into its TUN, and strict rp_filter would drop the peer's ESP.
            gateway.Host.Sysctl("ipv4/conf/all/rp_filter", "2");
        }

        using var wire = new WireTap(site.MoonHost, "wan");
        site.Connect(connection);
        var (near, far) = hosts ? (site.MoonHost, site.SunHost) : (site.AliceHost, site.BobHost);
        string nearAddress = hosts ? "192.168.0.1" : ipv6 ? "fec1::10" : "10.1.0.10", farAddress = hosts ? "192.168.0.2" : ipv6 ? "fec2::10" : "10.2.0.10";

        near.Sh($"ping -c 3 -i 0.05 -W 2 {farAddress}").Expect();
        far.Sh($"ping -c 3 -i 0.05 -W 2 {nearAddress}").Expect();
        SameCounters(site, 6);
        TcpTransfer.BothWays(near, far, farAddress, 1 << 20);
        TcpTransfer.BothWays(far, near, nearAddress, 1 << 20);

        TrueCounters(site);
        foreach (var child in new[] { site.Moon.Child(), site.Sun.Child() })
        {
            Assert.Equal(!raw, child.Encapsulated);
            Assert.Equal(Algorithms(name), $"{child.Encryption} {child.Integrity}".Trim());
        }

        wire.Finish().ExpectProtected(!raw, readable: name == "net2net-null");
    }

    [Theory]
    [InlineData(Plane.Espalier, Plane.Libipsec)]
    [InlineData(Plane.Libipsec, Plane.Espalier)]
    public void Net2NetCertIp6InIp4_FragmentedPings_PathMtuIsLearntOnTheWayAndThenTheyPass(Plane moon, Plane sun)
    {
        using var site = new Site(moon, sun);
        using var wire = new WireTap(site.MoonHost, "wan");
        var ends = (Site.MoonEnd with { Selector = "fec1::0/16[ipv6-icmp]" }, Site.SunEnd with { Selector = "fec2::0/16[ipv6-icmp]" });
        site.Connect(new Connection(ends.Item1, ends.Item2) { IkeProposals = "aes256-sha384-ecp384", EspProposals = "aes256gcm128-ecp384" });

        // The first request is refused by moon, the first answer by sun. (Each ping is a program of its own: a sender that goes on may take a while
        // to see what its kernel has learnt.)
        string first = site.AliceHost.Sh("ping -c 1 -W 1 -s 8184 -p deadbeef fec2::10").Text;
        Wait.Until(() => site.AliceHost.Sh("ping -c 1 -W 1 -s 8184 -p deadbeef fec2::10").ExitCode == 0, () => $"a ping of 8 KB is answered\n{first}");
        site.BobHost.Sh("ping -c 3 -W 2 -i 0.05 -s 8184 -p deadbeef fec1::10").Expect();

        Assert.Equal("AES_GCM_16_256", site.Moon.Child().Encryption);
        TrueCounters(site);
        wire.Finish().ExpectProtected(udp: true);
    }

    [Theory]
    [InlineData(Plane.Espalier, Plane.Espalier)]
    [InlineData(Plane.Espalier, Plane.Libipsec)]
    public void Net2NetTrap_PingsFromAlice_BringTheTunnelUp(Plane moon, Plane sun)
    {
        using var site = new Site(moon, sun);
        using var wire = new WireTap(site.MoonHost, "wan");
        site.Load(Site.NetToNet with { OwnChildOptions = "start_action = trap", Options = "mobike = no\n    encap = yes" });
        Assert.Contains("net-net", site.Moon.Swanctl("--list-pols --trap").Expect().Output, StringComparison.Ordinal);
        Assert.Empty(site.Moon.Sas());

        site.AliceHost.Sh("ping -c 20 -W 1 -i 0.2 10.2.0.10");
        site.AliceHost.Sh("ping -c 3 -W 2 -i 0.05 10.2.0.10").Expect();
        site.BobHost.Sh("ping -c 3 -W 2 -i 0.05 10.1.0.10").Expect();

        Assert.Contains("creating acquire job", site.Moon.Log, StringComparison.Ordinal);
        TrueCounters(site);
        wire.Finish().ExpectProtected(udp: true);
    }

    /// <summary>The connection of a scenario, as moon's swanctl.conf in that suite has it.</summary>
    private static Connection Named(string name)
    {
        var hosts = new Connection(Site.MoonEnd with { Selector = null }, Site.SunEnd with { Selector = null }) { Name = "host-host", Child = "host-host", EspProposals = "aes128-sha256-x25519" };
        return name switch
        {
            "host2host-cert" or "host2host-cert-raw" => hosts,
            "net2net-3des" => Site.NetToNet with { IkeProposals = "3des-sha1-modp2048", EspProposals = "3des-sha1-modp2048" },
            "net2net-null" => Site.NetToNet with { IkeProposals = "null-sha256-modp3072", EspProposals = "null-sha256-modp3072" },
            "net2net-cert-ip6-in-ip6-raw" => new Connection(
                new Endpoint(Site.MoonEnd.Identity, "fec0::1", "fec1::0/16"), new Endpoint(Site.SunEnd.Identity, "fec0::2", "fec2::0/16")),
            "net2net-cert" or "net2net-cert-raw" => Site.NetToNet,
            _ => throw new ArgumentOutOfRangeException(nameof(name)),
        };
    }

    private static string Algorithms(string name) => name switch
    {
        "host2host-cert" or "host2host-cert-raw" => "AES_CBC_128 HMAC_SHA2_256_128",
        "net2net-3des" => "3DES_CBC HMAC_SHA1_96",
        "net2net-null" => "NULL HMAC_SHA2_256_128",
        _ => "AES_GCM_16_128",
    };

    private static CharonOptions? Options(Plane plane, bool hostToHost) => hostToHost && plane == Plane.Libipsec ? HostToHostLibipsec : null;

    /// <summary>So many packets have passed each way, say both gateways' charons and Espalier itself.</summary>
    private static void SameCounters(Site site, long packets)
    {
        foreach (var gateway in new[] { site.Moon, site.Sun })
        {
            var child = gateway.Child();
            Assert.Equal((packets, packets), (child.PacketsIn, child.PacketsOut));
        }

        TrueCounters(site);
    }

    /// <summary>What charon says of an SA is what Espalier counted.</summary>
    private static void TrueCounters(Site site)
    {
        foreach (var gateway in new[] { site.Moon, site.Sun }.Where(g => g.Espalier is not null))
        {
            // The last acknowledgements of a connection may be on their way between the two questions.
            Wait.Until(
                () => gateway.Child() is var child && child.PacketsOut > 0 && child.PacketsIn > 0
                    && child.PacketsOut == Associations.Packets(gateway.Espalier!, child.SpiOut)
                    && child.PacketsIn == Associations.Packets(gateway.Espalier!, child.SpiIn),
                () => $"charon shows what Espalier counted: {gateway.Child().Raw}");
        }
    }
}
