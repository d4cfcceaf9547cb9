using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>
/// charon's plugin bypass-lan, which lets pass in clear between hosts of one LAN, on a client whose virtual address lies inside the network behind the gateway.
/// <code>
///  moon: client 10.2.9.1 (lo), 192.168.0.1 ════ wan ════ sun: gateway 192.168.0.2, 10.2.0.1 (lo)
/// </code>
/// Espalier's route for 10.2.0.0/16 leads to a device without a gateway, as that of a LAN does.
/// </summary>
public sealed class BypassLanTests
{
    [Fact]
    public void Client_WithTheDocumentedSettings_WhatIsRoutedIntoTheTunIsNoLan()
    {
        Requirements.Need("charon-systemd", "swanctl", "tcpdump", "ping");
        Assert.SkipUnless(File.Exists("/usr/lib/ipsec/plugins/libstrongswan-bypass-lan.so"), "needs libcharon-extra-plugins");
        using var moonHost = NetworkNamespace.CreateStrict("moon");
        using var sunHost = NetworkNamespace.CreateStrict("sun");
        moonHost.LinkTo(sunHost, "wan", ["192.168.0.1/24"], ["192.168.0.2/24"]);
        moonHost.Ip("addr add 10.2.9.1/32 dev lo");
        sunHost.Ip("addr add 10.2.0.1/32 dev lo");
        moonHost.Ip("route add 10.2.0.0/16 via 192.168.0.2");
        sunHost.Ip("route add 10.2.9.1/32 via 192.168.0.1");
        using var wire = new WireTap(moonHost, "wan");
        using var sun = new Charon(sunHost, "sun", Plane.Espalier);
        using var moon = new Charon(moonHost, "moon", Plane.Espalier, new CharonOptions { Load = "bypass-lan", Settings = DocumentedSettings() });
        var connection = new Connection(Site.MoonEnd with { Selector = "10.2.9.1/32" }, Site.SunEnd);
        sun.Load(connection.Mirrored);
        moon.Load(connection);
        moon.Initiate(connection.Child);

        // A new LAN makes the plugin read all routes again, those into the TUN too.
        moonHost.Ip("addr add 172.16.0.1/24 dev wan");
        Wait.Until(() => moon.Log.Contains("installed bypass policy for 172.16.0.0/24", StringComparison.Ordinal), () => $"the plugin has seen the LAN\n{moon.Log}");

        moonHost.Sh("ping -c 3 -i 0.3 -W 2 -I 10.2.9.1 10.2.0.1").Expect();
        Assert.DoesNotContain("bypass policy for 10.2.0.0/16", moon.Log, StringComparison.Ordinal);
        wire.Finish().ExpectProtected(udp: false);
    }

    /// <summary>What docs/strongswan.md puts into the section of charon.</summary>
    private static string DocumentedSettings()
    {
        string document = File.ReadAllText(Path.Combine(EspalierProgram.Root(), "docs", "strongswan.md"));
        string file = document.Split("/etc/strongswan.d/espalier.conf <<END\n")[1].Split("\nEND\n")[0].Trim();
        Assert.True(file.StartsWith("charon {\n", StringComparison.Ordinal) && file.EndsWith("\n}", StringComparison.Ordinal), file);
        return file["charon {\n".Length..^"\n}".Length];
    }
}
