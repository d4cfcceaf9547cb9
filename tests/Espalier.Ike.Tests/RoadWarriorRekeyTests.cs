using Espalier.Ike.Tests.Daemons;
using Espalier.Ike.Tests.Topologies;
using Espalier.Testing;

namespace Espalier.Ike.Tests;

/// <summary>Road warriors' tunnels, Algo's among them, are rekeyed through a NAT, on command and by limits; 100 pings a second go each way.</summary>
public sealed class RoadWarriorRekeyTests
{
    public static TheoryData<Road> Roads { get; } = [Road.Gateway, Road.Client, Road.Algo, Road.AlgoAndClient];

    public static MatrixTheoryData<Limit, Road> SoftLimits { get; } = new(Limit.SoonSoft, [Road.Gateway, Road.Client, Road.Algo]);

    public static MatrixTheoryData<Limit, Road> HardLimits { get; } = new(Limit.SoonHard, [Road.Gateway, Road.Client, Road.Algo]);

    [Theory]
    [MemberData(nameof(Roads))]
    public void Rekey_OfChildAndIkeByEitherSide_NoPingIsLost(Road road)
    {
        using var tunnel = new RoadTunnel(road);
        string address = tunnel.VirtualAddress;
        using var pings = tunnel.StartPings();

        // stroke has no command for it: Algo's server rekeys by limits, below.
        foreach (var initiator in ((IIkeDaemon[])[tunnel.Client, tunnel.Gateway]).OfType<Charon>())
        {
            initiator.RekeyChild("everything");
            pings.AwaitAnswers(20);
            initiator.RekeyIke("home");
            pings.AwaitAnswers(20);
        }

        pings.ExpectAllAnswered();
        Assert.Equal(address, tunnel.VirtualAddress);
    }

    [Theory]
    [InlineData(Road.Algo)]
    [InlineData(Road.AlgoAndClient)]
    public void Rekey_OfIkeByAlgosServer_NoPingIsLost(Road road)
    {
        // After three seconds; Algo itself leaves rekeying to the clients.
        using var tunnel = new RoadTunnel(road, new RoadSettings { IpsecConf = [("ikelifetime", "60s"), ("lifetime", "3h"), ("margintime", "57s"), ("rekeyfuzz", "0%"), ("rekey", "yes"), ("reauth", "no")] });
        string first = tunnel.Client.Sa().UniqueId, child = tunnel.Client.Child().SpiIn;
        using var pings = tunnel.StartPings();

        Wait.Until(() => tunnel.Client.Sas() is [{ State: "ESTABLISHED" } sa] && sa.UniqueId != first, () => $"one new IKE_SA\n{tunnel.Gateway.Log}", 20);
        pings.AwaitAnswers(20);

        pings.ExpectAllAnswered();
        Assert.Contains("initiating IKE_SA ikev2-pubkey", tunnel.Gateway.Log, StringComparison.Ordinal);
        Assert.Equal(child, tunnel.Client.Child().SpiIn);
    }

    [Theory]
    [MemberData(nameof(SoftLimits))]
    public void Soft_Reached_IsRekeyedWithoutALostPing(Limit limit, Road road)
    {
        using var tunnel = new RoadTunnel(road, new RoadSettings { Limit = limit });
        string first = tunnel.Own.Child().SpiIn;
        using var pings = tunnel.StartPings();

        Wait.Until(() => tunnel.Own.Log.Contains("creating rekey job", StringComparison.Ordinal), "the soft limit is reported");
        Wait.Until(() => tunnel.Own.Children() is [var child] && child.SpiIn != first, () => $"one new CHILD_SA\n{tunnel.Own.Log}", 20);
        pings.AwaitAnswers(20);

        pings.ExpectAllAnswered();
    }

    [Theory]
    [MemberData(nameof(HardLimits))]
    public void Hard_Reached_EndsTheSaAtBothEnds(Limit limit, Road road)
    {
        using var tunnel = new RoadTunnel(road, new RoadSettings { Limit = limit });
        var (own, peer) = tunnel.Own == tunnel.Client ? (tunnel.Client, tunnel.Gateway) : (tunnel.Gateway, (IIkeDaemon)tunnel.Client);
        string first = own.Child().SpiIn;
        using var pings = tunnel.StartPings();

        Wait.Until(() => own.Children().All(child => child.SpiIn != first), () => $"the CHILD_SA is gone\n{own.Log}", 20);
        Wait.Until(() => peer.Children().All(child => child.SpiOut != first), () => $"the peer's CHILD_SA is gone\n{peer.Log}", 20);
        Assert.Contains("creating delete job", own.Log, StringComparison.Ordinal);
        Wait.Until(() => !Traffic.Associations.Contains(own.Espalier!, first), "Espalier has no longer that SA");
    }
}
