using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Either daemon is killed, and comes back or not; what both leave behind.</summary>
public sealed class LifeAndDeathTests
{
    public static TheoryData<string?, Plane> Users { get; } = new() { { null, Plane.Libipsec }, { "strongswan", Plane.Libipsec }, { "strongswan", Plane.Espalier } };

    [Theory]
    [MemberData(nameof(Users))]
    public void Espalier_Killed_CharonStaysCalmAndConnectsAgainWhenItIsBack(string? user, Plane peer)
    {
        using var site = new Site(Plane.Espalier, peer, new CharonOptions { User = user });
        site.Connect(Site.NetToNet);
        site.AliceHost.Sh("ping -c 2 -i 0.05 -W 2 10.2.0.10").Expect();
        Assert.Equal(user is null, site.Moon.Process.User == 0);

        site.Moon.Espalier!.Kill();
        AssertCalm(site.Moon);
        Assert.NotEqual(0, site.AliceHost.Sh("ping -c 2 -i 0.05 -W 1 10.2.0.10").ExitCode);

        // charon hears that its SAs are gone, and makes new ones; nobody asks it to.
        site.Moon.StartEspalier();
        Wait.Until(() => site.AliceHost.Sh("ping -c 1 -W 1 10.2.0.10").ExitCode == 0, () => $"the tunnel is up again\n{site.Moon.Log}");
        site.BobHost.Sh("ping -c 2 -i 0.05 -W 2 10.1.0.10").Expect();

        site.Moon.Espalier.Kill();
        AssertCalm(site.Moon);
        Assert.True(site.Moon.Process.Terminate(), $"charon has not ended 10 s after SIGTERM\n{site.Moon.Log}");
    }

    [Theory]
    [MemberData(nameof(Users))]
    public void Espalier_KilledAndBack_TheNextInitiateBringsTheTunnelUp(string? user, Plane peer)
    {
        using var site = new Site(Plane.Espalier, peer, new CharonOptions { User = user });
        site.Connect(Site.NetToNet);
        string old = site.Moon.Child().SpiIn;

        site.Moon.Espalier!.Kill();
        site.Moon.StartEspalier();
        // Refused as a duplicate where the tunnel is up by itself already.
        var initiate = site.Moon.Swanctl("--initiate --child net-net --timeout 10");

        Wait.Until(() => site.AliceHost.Sh("ping -c 1 -W 1 10.2.0.10").ExitCode == 0, () => $"the tunnel is up again\n{initiate.Text}\n{site.Moon.Log}");
        site.BobHost.Sh("ping -c 2 -i 0.05 -W 2 10.1.0.10").Expect();
        Assert.NotEqual(old, site.Moon.Child().SpiIn);
    }

    [Theory]
    [MemberData(nameof(Pairs.Peers), MemberType = typeof(Pairs))]
    public void Host_AwayWhileEspalierDiesAndComesBack_DpdOfThePeerBringsTheTunnelUp(Plane peer)
    {
        var impatient = new CharonOptions { Settings = "retransmit_timeout = 0.3\n  retransmit_tries = 2" };
        using var site = new Site(Plane.Espalier, peer, impatient, impatient);
        site.Connect(Site.NetToNet with { Options = "mobike = no\n    dpd_delay = 1s\n    keyingtries = 0", ChildOptions = "dpd_action = restart" });
        site.AliceHost.Sh("ping -c 2 -i 0.05 -W 2 10.2.0.10").Expect();

        // The whole host of moon is away: its link is down while Espalier dies and comes back, and both ends give their peer up.
        site.Moon.Espalier!.Kill();
        site.MoonHost.Ip("link set wan down");
        Wait.Until(() => site.Moon.Sas().All(sa => sa.State != "ESTABLISHED") && site.Sun.Sas().All(sa => sa.State != "ESTABLISHED"), "both miss their peer", 25);
        site.Moon.StartEspalier();
        site.MoonHost.Ip("link set wan up");
        site.MoonHost.Ip("route replace 10.2.0.0/16 via 192.168.0.2");

        Wait.Until(
            () => site.Moon.Children().Count > 0 && site.Sun.Children().Count > 0 && site.AliceHost.Sh("ping -c 1 -W 1 10.2.0.10").ExitCode == 0,
            () => $"the tunnel is up again\n{site.Moon.Log}", 30);
    }

    [Theory]
    [MemberData(nameof(Pairs.Peers), MemberType = typeof(Pairs))]
    public void Espalier_KilledAndBack_DpdBringsTheTunnelUp(Plane peer)
    {
        using var site = new Site(Plane.Espalier, peer);
        site.Connect(Site.NetToNet with { OwnOptions = "dpd_delay = 1s" });
        site.AliceHost.Sh("ping -c 2 -i 0.05 -W 2 10.2.0.10").Expect();

        site.Moon.Espalier!.Kill();
        site.Moon.StartEspalier();

        Wait.Until(() => site.AliceHost.Sh("ping -c 1 -W 1 10.2.0.10").ExitCode == 0, () => $"the tunnel is up again\n{site.Moon.Log}", 20);
        site.BobHost.Sh("ping -c 2 -i 0.05 -W 2 10.1.0.10").Expect();
    }

    [Fact]
    public void Espalier_KilledAndBackUnderATrap_TheNextPacketBringsTheTunnelUpAndNoneLeavesInClear()
    {
        using var site = new Site(Plane.Espalier, Plane.Libipsec);
        using var wire = new WireTap(site.MoonHost, "wan");
        site.Load(Site.NetToNet with { OwnChildOptions = "start_action = trap" });

        site.Moon.Espalier!.Kill();
        site.Moon.StartEspalier();
        // No SA tells charon of it: the traps alone must come back.
        Wait.Until(() => site.Moon.Espalier.Exec("ip xfrm policy").Output.Contains("dir out", StringComparison.Ordinal), () => $"the trap is back\n{site.Moon.Log}");
        Assert.Empty(site.Moon.Sas());

        Wait.Until(() => site.AliceHost.Sh("ping -c 1 -W 1 10.2.0.10").ExitCode == 0, () => $"the tunnel is up\n{site.Moon.Log}");
        site.BobHost.Sh("ping -c 2 -i 0.05 -W 2 10.1.0.10").Expect();
        wire.Finish().ExpectProtected(udp: true);
    }

    [Theory]
    [MemberData(nameof(Pairs.Peers), MemberType = typeof(Pairs))]
    public void Charon_Killed_TheTunnelGoesOnUntilANewOneReplacesIt(Plane peer)
    {
        using var site = new Site(Plane.Espalier, peer);
        site.Connect(Site.NetToNet);
        string old = site.Moon.Child().SpiIn;
        using var pings = new PingBothWays(site);

        site.Moon.Process.Kill();
        pings.AwaitAnswers(50);
        site.Moon.Restart();
        pings.AwaitAnswers(50);
        pings.ExpectAllAnswered();

        site.Moon.Reload();
        site.Moon.Initiate("net-net");
        site.AliceHost.Sh("ping -c 3 -i 0.05 -W 2 10.2.0.10").Expect();
        site.BobHost.Sh("ping -c 3 -i 0.05 -W 2 10.1.0.10").Expect();
        var child = site.Moon.Child();
        Assert.NotEqual(old, child.SpiIn);
        Assert.Equal(3 + 3, child.PacketsIn);
        Assert.Equal(3 + 3, child.PacketsOut);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void BothStopped_InEitherOrder_LeaveNothingBehind(bool charonFirst)
    {
        Requirements.Need("charon-systemd", "swanctl", "ping", "nft", "ss");
        using var moonHost = NetworkNamespace.CreateStrict("moon", forwards: true);
        using var sunHost = NetworkNamespace.CreateStrict("sun", forwards: true);
        moonHost.LinkTo(sunHost, "wan", ["192.168.0.1/24"], ["192.168.0.2/24"]);
        moonHost.Ip("addr add 10.1.0.1/16 dev lo");
        sunHost.Ip("addr add 10.2.0.1/16 dev lo");
        string[] unsettled = ["linkdown", "NO-CARRIER", "tentative", "state LOWERLAYERDOWN"];
        Wait.Until(() => State(moonHost) is var now && now.Contains("fe80::", StringComparison.Ordinal) && !unsettled.Any(now.Contains), "the link is up");
        string before = State(moonHost);
        using (var sun = new Charon(sunHost, "sun", Plane.Libipsec))
        using (var moon = new Charon(moonHost, "moon", Plane.Espalier))
        {
            sun.Load(Site.NetToNet.Mirrored);
            moon.Load(Site.NetToNet);
            moon.Initiate("net-net");
            moonHost.Sh("ping -c 2 -i 0.05 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
            Assert.NotEqual(before, State(moonHost));
            if (charonFirst)
            {
                Assert.True(moon.Process.Terminate(), "charon has not ended");
                Assert.Equal(0, moon.Espalier!.Stop());
            }
            else
            {
                Assert.Equal(0, moon.Espalier!.Stop());
                Assert.True(moon.Process.Terminate(), "charon has not ended");
            }
        }

        Assert.Equal(before, State(moonHost));
    }

    /// <summary>It comes to rest: at so many looks in a row it has used no more of a processor than at the one before. And swanctl gets answers.</summary>
    private static void AssertCalm(Charon charon)
    {
        const int Looks = 20;
        charon.Swanctl("--stats", 5).Expect();
        var used = charon.Process.ProcessorTime;
        int quiet = 0;
        Wait.Until(
            () =>
            {
                var before = used;
                used = charon.Process.ProcessorTime;
                quiet = used == before ? quiet + 1 : 0;
                return quiet == Looks;
            },
            () => $"charon is calm\n{charon.Log}");
        charon.Swanctl("--list-sas", 10).Expect();
    }

    /// <summary>What daemons could leave in a namespace.</summary>
    private static string State(NetworkNamespace host) => string.Join("\n----\n",
        ((string[])["ip rule", "ip -6 rule", "ip route show table all", "ip -6 route show table all", "ip -o link", "ip -o addr", "nft list ruleset", "ss -Hanu", "ss -Hanw",
            "ss -Hanx", "sysctl net.ipv4.conf.all.src_valid_mark"]).Select(command => host.Sh(command).Text));
}
