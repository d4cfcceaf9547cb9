using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Tests;

/// <summary>Fields of the outer header that follow the inner one, and of the inner header that follow the outer one (RFC 4301 §5.1.2, RFC 6040); padding.</summary>
public sealed class HeaderFieldTests
{
    // RFC 6040 §4.1, RFC 4301 §5.1.2.
    [Theory]
    [InlineData(0xB9, SaFlags.AfUnspec, SaExtraFlags.None, 0xB9)]
    [InlineData(0xB9, SaFlags.AfUnspec | SaFlags.NoEcn, SaExtraFlags.None, 0xB8)]
    [InlineData(0xBB, SaFlags.AfUnspec, SaExtraFlags.DontEncapsulateDscp, 0x03)]
    public void Outer_TrafficClass_FollowsTheFlags(byte inner, SaFlags flags, SaExtraFlags extra, byte outer)
    {
        using var pair = new Pair(new TunnelSettings { Flags = flags, ExtraFlags = extra });
        foreach (byte[] packet in new[]
        {
            Packets.Udp("10.1.0.1", "10.2.0.1", trafficClass: inner), Packets.Udp("fd01::1", "fd02::1", trafficClass: inner),
        })
        {
            pair.Left.SendFromTun(packet);
            Assert.Equal(outer, pair.Left.Network.Sent[^1].About.TrafficClass);
        }
    }

    [Theory]
    [InlineData(true, SaFlags.AfUnspec, true)]
    [InlineData(false, SaFlags.AfUnspec, false)]
    [InlineData(true, SaFlags.AfUnspec | SaFlags.NoPmtuDiscovery, false)]
    public void Outer_DontFragment_FollowsInnerAndFlag(bool inner, SaFlags flags, bool outer)
    {
        using var pair = new Pair(new TunnelSettings { Flags = flags });
        pair.Left.SendFromTun(Packets.Udp("10.1.0.1", "10.2.0.1", dontFragment: inner));
        Assert.Equal(outer, pair.Left.Network.Sent[^1].About.DontFragment);
    }

    // RFC 6040 §4.2: CE outside over ECT inside becomes CE inside, with a right header checksum.
    [Fact]
    public void Inner_OuterCeOverEct_BecomesCe()
    {
        using var pair = new Pair();
        pair.Inject(pair.Capture(Packets.Udp("10.1.0.1", "10.2.0.1", trafficClass: 2)), trafficClass: 3);
        Assert.Equal([Packets.Udp("10.1.0.1", "10.2.0.1", trafficClass: 3)], pair.Right.Tunnel.Written);
    }

    [Fact]
    public void Inner_UnusualEcn_CountedAndDelivered()
    {
        using var pair = new Pair();
        byte[] esp = pair.Capture(Packets.Udp("10.1.0.1", "10.2.0.1", trafficClass: 0));
        var before = pair.Right.Counters.Snapshot();
        pair.Inject(esp, trafficClass: 2);
        Expect.Changes(
            pair.Right, before, [], (TrafficCounter.OuterPacketsRead, 1), (TrafficCounter.InboundPackets, 1), (TrafficCounter.InboundBytes, 92),
            (TrafficCounter.EcnAlerts, 1));
    }

    [Theory]
    [InlineData(new byte[] { 0, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 1, 2, 3, 4, 9, 6 })]
    public void Inner_UnusualPadding_CountedAndDelivered(byte[] padding)
    {
        // RFC 4303 §2.4: what was authenticated is the peer's own.
        using var pair = new Pair();
        byte[] inner = Packets.Udp("10.1.0.1", "10.2.0.1", payload: 20);
        byte[] esp = Forge.SealRaw(Suite.Gcm, Pair.LeftToRight, 1, [.. inner, .. padding, (byte)padding.Length, 4]);
        var before = pair.Right.Counters.Snapshot();
        pair.Inject(esp);
        Assert.Equal([inner], pair.Right.Tunnel.Written);
        Expect.Changes(
            pair.Right, before, [], (TrafficCounter.OuterPacketsRead, 1), (TrafficCounter.InboundPackets, 1), (TrafficCounter.InboundBytes, inner.Length),
            (TrafficCounter.UnusualPadding, 1));
    }
}
