using Espalier.Ike.Tests.Topologies;
using Espalier.Ike.Tests.Traffic;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Road warriors' tunnels, Algo's among them: what is shown of them, and how they end and come back.</summary>
public sealed class RoadWarriorLifeTests
{
    private static readonly RoadSettings Impatient = new() { DpdDelay = 1, Daemon = "retransmit_timeout = 0.3\n  retransmit_tries = 2" };

    public static TheoryData<Road> Roads { get; } = [Road.Gateway, Road.Client, Road.Algo];

    [Theory]
    [MemberData(nameof(Roads))]
    public void List_AfterPings_ShowsPacketsBytesAndTimesOfUse(Road road)
    {
        using var tunnel = new RoadTunnel(road);
        var (own, client) = (tunnel.Own, tunnel.Client);
        var fresh = own.Child();
        Assert.Equal((0, 0, 0, 0), (fresh.PacketsIn, fresh.PacketsOut, fresh.BytesIn, fresh.BytesOut));
        Assert.Null(fresh.UseIn);

        client.Host.Sh($"ping -c 7 -i 0.02 -W 2 -s 100 {RoadTunnel.Alice}").Expect();

        var (used, other) = (own.Child(), road == Road.Client ? tunnel.Gateway.Child() : client.Child());
        Assert.Equal((7, 7, 7, 7), (used.PacketsIn, used.PacketsOut, other.PacketsIn, other.PacketsOut));
        Assert.Equal((7, 7), (Associations.Packets(own.Espalier!, used.SpiIn), Associations.Packets(own.Espalier!, used.SpiOut)));
        Assert.InRange(used.BytesIn, 7 * 128, 7 * 220);
        Assert.InRange(used.BytesOut, 7 * 128, 7 * 220);
        Assert.NotNull(used.UseOut);
        Wait.Until(() => own.Child() is { UseIn: >= 2, UseOut: >= 2 }, "two idle seconds are shown");
        client.Host.Sh($"ping -c 1 -W 2 {RoadTunnel.Alice}").Expect();
        Assert.True(own.Child() is { PacketsOut: 8 } again && again.UseOut < used.UseOut + 2, "the last packet is shown as the last one");
    }

    [Theory]
    [MemberData(nameof(Roads))]
    public void Dpd_ClientVanishesAndReturns_SasGoAndTheTunnelComesBack(Road road)
    {
        using var tunnel = new RoadTunnel(road, Impatient);
        tunnel.Ping();

        tunnel.Net.Router.Ip("link set lan1 down");
        Wait.Until(() => tunnel.Gateway.Sas().Count == 0 && tunnel.Client.Sas().Count == 0, () => $"both give their peer up\n{tunnel.Gateway.Log}", 25);
        ExpectNothingLeft(tunnel);

        tunnel.Net.Router.Ip("link set lan1 up");
        Wait.Until(() => tunnel.Client.Swanctl("--initiate --child everything --timeout 5").ExitCode == 0, () => $"the tunnel comes back\n{tunnel.Client.Log}", 25);
        tunnel.Ping();
    }

    [Theory]
    [MemberData(nameof(Roads))]
    public void Terminate_ByEitherSide_LeavesNoSaPolicyOrRoute(Road road)
    {
        using var tunnel = new RoadTunnel(road);
        tunnel.Ping();
        tunnel.Client.Terminate("home");
        Wait.Until(() => tunnel.Gateway.Sas().Count == 0 && tunnel.Client.Sas().Count == 0, "no IKE_SA is left");
        ExpectNothingLeft(tunnel);

        tunnel.Client.Initiate("everything");
        tunnel.Ping();
        tunnel.Gateway.Terminate(tunnel.NameAtGateway);
        Wait.Until(() => tunnel.Gateway.Sas().Count == 0 && tunnel.Client.Sas().Count == 0, "no IKE_SA is left");
        ExpectNothingLeft(tunnel);
    }

    [Theory]
    [MemberData(nameof(Roads))]
    public void Charon_StoppedAndStartedAgainAtEitherSide_ConnectsAgain(Road road)
    {
        // One that is stopped in the middle of an exchange does not tell its peer: that one's DPD sees it.
        using var tunnel = new RoadTunnel(road, Impatient);
        tunnel.Ping();

        foreach (var daemon in new[] { tunnel.Gateway, tunnel.Client })
        {
            daemon.StopAndStart();
            Wait.Until(() => tunnel.Client.Sas().Count == 0 && tunnel.Gateway.Sas().Count == 0, "the end of the daemon is known");
            tunnel.Client.Initiate("everything");
            tunnel.Ping();
            Assert.Equal(2, Associations.Count(tunnel.Own.Espalier!));
        }
    }

    [Theory]
    [MemberData(nameof(Roads))]
    public void Espalier_KilledAndBack_TheTunnelIsUpAgainWithTheNextInitiate(Road road)
    {
        using var tunnel = new RoadTunnel(road);
        tunnel.Ping();

        tunnel.Own.Espalier!.Kill();
        tunnel.Own.StartEspalier();
        tunnel.Client.Swanctl("--initiate --child everything --timeout 10");

        Wait.Until(() => tunnel.Client.Host.Sh($"ping -c 1 -W 1 {RoadTunnel.Alice}").ExitCode == 0, () => $"the tunnel is up again\n{tunnel.Own.Log}");
        tunnel.Ping();
    }

    private static void ExpectNothingLeft(RoadTunnel tunnel)
    {
        Wait.Until(() => Associations.Count(tunnel.Own.Espalier!) == 0, "no SA is left");
        Wait.Until(() => (int)tunnel.Own.Espalier!.Stat()["policiesCount"]! == 0, "no policy is left");
        var host = tunnel.Own == tunnel.Client ? tunnel.Client.Host : tunnel.Net.MoonHost;
        Assert.Equal("", host.Sh("ip route show table 4550").Output.Trim());
        Assert.DoesNotContain("10.48.", tunnel.Client.Host.Sh("ip -4 addr").Output, StringComparison.Ordinal);
    }
}
