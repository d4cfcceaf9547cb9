using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>
/// libreswan's pluto on Espalier, against strongSwan on kernel-libipsec: IKEv2 with a pre-shared key.
/// <code>
///  moon: pluto 10.1.0.1 (lo), 192.168.0.1 ════ wan ════ sun: charon 192.168.0.2, 10.2.0.1 (lo)
/// </code>
/// </summary>
public sealed class PlutoTests : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    [Theory]
    [InlineData("start")]
    [InlineData("ondemand")]
    [InlineData("add")]
    public void Pluto_Psk_ConnectsAtStartOnDemandAndWhenAsked(string auto)
    {
        var (moon, sun, wire) = Start(auto, peerInitiates: auto == "add");
        if (auto == "ondemand")
        {
            // Packets of the first tenths of a second bring the tunnel up and are lost.
            Wait.Until(() => moon.Host.Sh("ping -c 1 -W 1 -I 10.1.0.1 10.2.0.1").ExitCode == 0, () => $"the tunnel comes up by itself\n{moon.Pluto.Process.Printed}", 20);
        }
        else
        {
            AwaitTunnel(moon.Pluto, sun);
        }

        moon.Host.Sh("ping -c 3 -i 0.05 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
        sun.Host.Sh("ping -c 3 -i 0.05 -W 2 -I 10.2.0.1 10.1.0.1").Expect();
        TcpTransfer.BothWays(moon.Host, sun.Host, "10.2.0.1", 1 << 20);
        TcpTransfer.BothWays(sun.Host, moon.Host, "10.1.0.1", 1 << 20);
        Assert.Contains("type=ESP", moon.Pluto.Traffic, StringComparison.Ordinal);
        wire.Finish().ExpectProtected(udp: true);

        moon.Pluto.Run("whack", "--name", "net", "--terminate");
        Wait.Until(() => sun.Children().Count == 0 && Associations.Count(moon.Pluto.Espalier) == 0, () => $"no SA is left\n{moon.Pluto.Process.Printed}");
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public void Pluto_OverBothIpVersionsWithAndWithoutUdp_CarriesPingAndTcpBothWays(bool ipv6, bool udp)
    {
        var (moon, sun, wire) = Start("start", peerInitiates: false, ipv6, udp);
        AwaitTunnel(moon.Pluto, sun);

        moon.Host.Sh("ping -c 3 -i 0.05 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
        sun.Host.Sh("ping -c 3 -i 0.05 -W 2 -I 10.2.0.1 10.1.0.1").Expect();
        TcpTransfer.BothWays(moon.Host, sun.Host, "10.2.0.1", 1 << 20);
        Assert.Equal(ipv6 ? "fec0::1" : "192.168.0.1", sun.Sa().RemoteHost);
        wire.Finish().ExpectProtected(udp);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Pluto_RekeysOfEitherSide_TrafficGoesOn(bool udp)
    {
        var (moon, sun, _) = Start("start", peerInitiates: false, udp: udp);
        AwaitTunnel(moon.Pluto, sun);
        using var pings = new PingFlow(moon.Host, "10.2.0.1", "10.1.0.1");
        pings.AwaitAnswers(20);

        string before = sun.Child().SpiIn;
        moon.Pluto.Run("whack", "--name", "net", "--rekey-ipsec").Expect();
        Wait.Until(() => sun.Children() is [var child] && child.SpiIn != before, () => $"pluto's rekeying\n{moon.Pluto.Process.Printed}", 20);
        pings.AwaitAnswers(20);
        pings.ExpectAllAnswered();

        // As responder pluto sends with the new SA before its answer has told the initiator of it (on the kernel, too): what goes out in between may be lost, nothing else.
        using var more = new PingFlow(moon.Host, "10.2.0.1", "10.1.0.1");
        more.AwaitAnswers(20);
        sun.RekeyChild();
        more.AwaitAnswers(20);
        var lost = more.Finish();
        Assert.True(lost.Count == 0 || lost[^1] - lost[0] < lost.Count, more.Describe(lost));
    }

    public void Dispose()
    {
        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            _owned[i].Dispose();
        }
    }

    // Of the two the initiator is the last to install its policies; without them packets go in clear.
    private static void AwaitTunnel(Pluto pluto, Charon sun) => Wait.Until(
        () => sun.Children().Count == 1 && pluto.Traffic.Contains("type=ESP", StringComparison.Ordinal), () => $"the tunnel comes up\n{pluto.Process.Printed}", 20);

    private ((NetworkNamespace Host, Pluto Pluto) Moon, Charon Sun, WireTap Wire) Start(string auto, bool peerInitiates, bool ipv6 = false, bool udp = true)
    {
        Pluto.Need();
        var moonHost = Own(NetworkNamespace.CreateStrict("moon"));
        var sunHost = Own(NetworkNamespace.CreateStrict("sun"));
        moonHost.LinkTo(sunHost, "wan", ["192.168.0.1/24", "fec0::1/64"], ["192.168.0.2/24", "fec0::2/64"]);
        moonHost.Ip("addr add 10.1.0.1/16 dev lo");
        sunHost.Ip("addr add 10.2.0.1/16 dev lo");
        moonHost.Ip("route add 10.2.0.0/16 via 192.168.0.2");
        sunHost.Ip("route add 10.1.0.0/16 via 192.168.0.1");
        var wire = Own(new WireTap(moonHost, "wan"));
        // Without UDP the peer is Espalier: kernel-libipsec knows ESP in UDP only.
        var sun = Own(new Charon(sunHost, "sun", udp ? Plane.Libipsec : Plane.Espalier));
        var (left, right) = ipv6 ? ("fec0::1", "fec0::2") : (Site.MoonEnd.Address, Site.SunEnd.Address);
        sun.Load(new Connection(Site.SunEnd with { Address = right }, Site.MoonEnd with { Address = left }) { Key = null });
        var pluto = Own(new Pluto(moonHost, "moon", $"""
            config setup
            conn net
              ikev2=yes
              authby=secret
              left={left}
              leftid=@moon.espalier.test
              leftsubnet=10.1.0.0/16
              leftupdown=""
              right={right}
              encapsulation={(udp ? "auto" : "no")}
              rightid=@sun.espalier.test
              rightsubnet=10.2.0.0/16
              ike=aes128-sha2-dh31
              esp=aes_gcm128-null
              auto={auto}

            """, "@moon.espalier.test @sun.espalier.test : PSK \"0123456789abcdef\"\n"));
        if (peerInitiates)
        {
            sun.Initiate("net-net");
        }

        return ((moonHost, pluto), sun, wire);
    }

    private T Own<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}
