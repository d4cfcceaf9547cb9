using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Outbound;
using Espalier.DataPlane.Tests.Harness;
using Espalier.DataPlane.Workers;
using Espalier.Ipsec;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Tests;

/// <summary>For each drop reason, how to provoke it: exactly that counter changes by one, and nothing else beyond what is named.</summary>
internal static class DropScenarios
{
    private const string Near = "10.1.0.1";
    private const string Far = "10.2.0.1";

    private static readonly TunnelSettings Null = new() { Suite = Suite.NullSha1 };

    public static Dictionary<DropReason, Action> All { get; } = new()
    {
        [DropReason.InboundOversized] = () => Inbound(DropReason.InboundOversized, pair => new byte[10_200]),
        [DropReason.InboundMalformedEsp] = () => Inbound(DropReason.InboundMalformedEsp, pair => pair.Capture(Packets.Udp(Near, Far))[..33]),
        [DropReason.InboundIkeWithoutDaemon] = () => Inbound(DropReason.InboundIkeWithoutDaemon, _ => [0, 0, 0, 0, 1, 2, 3, 4, 5, 6]),
        [DropReason.InboundIkeTooLarge] = () => Inbound(
            DropReason.InboundIkeTooLarge, _ => [0, 0, 0, 0, 1, 2, 3, 4, 5, 6], relay: new RecordingRelay { Refusal = 90 }),
        [DropReason.InboundIkeRefused] = () => Inbound(
            DropReason.InboundIkeRefused, _ => [0, 0, 0, 0, 1, 2, 3, 4, 5, 6], relay: new RecordingRelay { Refusal = 100 }),
        [DropReason.InboundReservedSpi] = () => Inbound(DropReason.InboundReservedSpi, _ => [0, 0, 0, 255, 0, 0, 0, 1, 0, 0]),
        [DropReason.InboundUnknownSpi] = () => Inbound(DropReason.InboundUnknownSpi, _ => [0, 0, 9, 9, 0, 0, 0, 1, 0, 0]),
        [DropReason.InboundSaLarval] = () => InboundState(DropReason.InboundSaLarval, SaState.Larval),
        [DropReason.InboundSaNotValid] = () => InboundState(DropReason.InboundSaNotValid, SaState.Dead),
        [DropReason.InboundSaExpired] = () => Inbound(
            DropReason.InboundSaExpired, pair => pair.Capture(Packets.Udp(Near, Far)),
            settings: new TunnelSettings { Limits = LifetimeLimits.None with { HardBytes = 1 } },
            prepare: pair => pair.RightIn.Usage.Bytes = 1),
        [DropReason.InboundSaDirection] = InboundSaDirection,
        [DropReason.InboundEncapsulationMismatch] = InboundEncapsulationMismatch,
        [DropReason.InboundReplayed] = () => Inbound(DropReason.InboundReplayed, pair =>
        {
            byte[] packet = pair.Capture(Packets.Udp(Near, Far));
            pair.Inject(packet);
            return packet;
        }),
        [DropReason.InboundOutsideReplayWindow] = () => Inbound(DropReason.InboundOutsideReplayWindow, pair =>
        {
            byte[] first = pair.Capture(Packets.Udp(Near, Far));
            for (int i = 0; i < 64; i++)
            {
                pair.LeftToRightRun(Packets.Udp(Near, Far));
            }

            return first;
        }),
        [DropReason.InboundIntegrityFailure] = () => Inbound(DropReason.InboundIntegrityFailure, pair =>
        {
            byte[] packet = pair.Capture(Packets.Udp(Near, Far));
            packet[^1] ^= 1;
            return packet;
        }),
        [DropReason.InboundBadPadding] = () => Inbound(
            DropReason.InboundBadPadding,
            _ => Forge.SealRaw(Suite.NullSha1, Pair.LeftToRight, 1, [.. Packets.Udp(Near, Far, payload: 20), 1, 2, 3, 4, 5, 6, 255, 4]), Null),
        [DropReason.InboundBadNextHeader] = () => Inbound(
            DropReason.InboundBadNextHeader, _ => Forge.Seal(Suite.NullSha1, Pair.LeftToRight, 1, Packets.Udp(Near, Far), 17), Null),
        [DropReason.InboundMalformedInner] = () => Inbound(
            DropReason.InboundMalformedInner, _ => Forge.Seal(Suite.NullSha1, Pair.LeftToRight, 1, Packets.Udp(Near, Far)[..^1], 4), Null),
        [DropReason.InboundDummy] = () => Inbound(
            DropReason.InboundDummy, _ => Forge.Seal(Suite.NullSha1, Pair.LeftToRight, 1, new byte[40], 59), Null),
        [DropReason.InboundEcnForbidden] = () => Inbound(
            DropReason.InboundEcnForbidden, pair => pair.Capture(Packets.Udp(Near, Far)), trafficClass: 3,
            traffic: [(TrafficCounter.EcnAlerts, 1)]),
        [DropReason.InboundSelectorMismatch] = () => Inbound(
            DropReason.InboundSelectorMismatch, pair => Forge.Seal(Suite.Gcm, Pair.LeftToRight, 1, Packets.Udp("10.1.9.9", Far), 4),
            new TunnelSettings
            {
                Selector = new TrafficSelector(AddressPrefix.Parse("10.1.0.0/24"), AddressPrefix.Parse("10.2.0.0/16"), 0, 0, 0, 0, 0),
            }),
        [DropReason.InboundNoPolicy] = () => Inbound(
            DropReason.InboundNoPolicy, pair => Forge.Seal(Suite.Gcm, Pair.LeftToRight, 1, Packets.Udp("10.9.0.1", Far), 4)),
        [DropReason.InboundPolicyBlock] = () => Inbound(
            DropReason.InboundPolicyBlock, pair => pair.Capture(Packets.Udp(Near, Far)),
            prepare: pair => Pair.AddPolicy(
                pair.Right, Pair.Policy(Near, Far, PolicyDirection.In, action: PolicyAction.Block, priority: 1))),
        [DropReason.InboundTemplateMismatch] = () => Inbound(
            DropReason.InboundTemplateMismatch, pair => pair.Capture(Packets.Udp(Near, Far)),
            prepare: pair => Pair.AddPolicy(
                pair.Right, Pair.Policy(Near, Far, PolicyDirection.In, pair.Template(pair.LeftOuter, pair.RightOuter, reqId: 77), priority: 1))),
        [DropReason.InboundFragmentWithoutPorts] = () => Inbound(
            DropReason.InboundFragmentWithoutPorts, pair => Forge.Seal(Suite.Gcm, Pair.LeftToRight, 1, LaterFragment(Near, Far), 4),
            prepare: pair => Pair.AddPolicy(
                pair.Right,
                Pair.Policy(
                    Near, Far, PolicyDirection.In, pair.Template(pair.LeftOuter, pair.RightOuter), priority: 1, protocol: 17, destinationPort: 53))),
        [DropReason.InboundTunRefused] = () => Inbound(
            DropReason.InboundTunRefused, pair => pair.Capture(Packets.Udp(Near, Far)), prepare: pair => pair.Right.Tunnel.Refusal = 5),

        [DropReason.OutboundMalformedInner] = () => Outbound(DropReason.OutboundMalformedInner, Packets.Udp(Near, Far)[..19]),
        [DropReason.OutboundOversized] = () => Outbound(DropReason.OutboundOversized, Packets.UdpOfLength(Near, Far, 10_200)),
        [DropReason.OutboundNoPolicy] = () => Outbound(
            DropReason.OutboundNoPolicy, Packets.Udp(Near, "10.9.0.1"),
            pair => pair.Left.Database.Spd.DefaultBlocks[(int)PolicyDirection.Out] = true),
        [DropReason.OutboundPolicyBlock] = () => Outbound(
            DropReason.OutboundPolicyBlock, Packets.Udp(Near, Far),
            pair => Pair.AddPolicy(pair.Left, Pair.Policy(Near, Far, PolicyDirection.Out, action: PolicyAction.Block, priority: 1))),
        [DropReason.OutboundNoSa] = () => Outbound(
            DropReason.OutboundNoSa, Packets.Udp(Near, Far),
            pair =>
            {
                using var frozen = pair.Left.Database.Freeze();
                pair.Left.Database.Sad.Remove(pair.LeftOut);
            },
            traffic: (TrafficCounter.AcquiresPosted, 1)),
        [DropReason.OutboundSaNotValid] = OutboundSaNotValid,
        [DropReason.OutboundSaExpired] = () => Outbound(
            DropReason.OutboundSaExpired, Packets.Udp(Near, Far), pair => pair.LeftOut.Usage.Packets = 5,
            new TunnelSettings { Limits = LifetimeLimits.None with { HardPackets = 5 } }),
        [DropReason.OutboundSequenceExhausted] = () => Outbound(
            DropReason.OutboundSequenceExhausted, Packets.Udp(Near, Far), pair => pair.LeftOut.OutboundSequence = uint.MaxValue),
        [DropReason.OutboundTooBig] = () => Outbound(
            DropReason.OutboundTooBig, Packets.UdpOfLength(Near, Far, 1500), traffic: (TrafficCounter.IcmpErrorsSent, 1)),
        [DropReason.OutboundFragmentWithoutPorts] = () => Outbound(
            DropReason.OutboundFragmentWithoutPorts, LaterFragment(Near, Far),
            pair => Pair.AddPolicy(
                pair.Left,
                Pair.Policy(
                    Near, Far, PolicyDirection.Out, pair.Template(pair.LeftOuter, pair.RightOuter), priority: 1, protocol: 17, destinationPort: 53))),
        [DropReason.OutboundTransformFailure] = OutboundTransformFailure,
        [DropReason.OutboundSendFailure] = () => Outbound(
            DropReason.OutboundSendFailure, Packets.Udp(Near, Far), pair => pair.LeftSocket.Refusal = _ => 101),
        [DropReason.OutboundBypassFailure] = () => Outbound(
            DropReason.OutboundBypassFailure, Packets.Udp(Near, "10.9.0.1"), pair => pair.Left.Bypass.Refusal = 101),
        [DropReason.OutboundBypassLoop] = OutboundBypassLoop,
        [DropReason.PoolEmpty] = () => Outbound(
            DropReason.PoolEmpty, Packets.UdpOfLength(Near, Far, 1500, dontFragment: false), poolBatches: 1),
    };

    /// <summary>A UDP fragment at offset 800 whose first one was never seen.</summary>
    public static byte[] LaterFragment(string source, string destination, ushort identification = 4711)
    {
        byte[] packet = new byte[20 + 64];
        PacketWriter.WriteIPv4(
            packet, InternetAddress.Parse(source), InternetAddress.Parse(destination), IpProtocol.Udp, 64, identification, 100);
        return packet;
    }

    private static void Inbound(
        DropReason reason, Func<Pair, byte[]> packet, TunnelSettings? settings = null, Action<Pair>? prepare = null, byte trafficClass = 0,
        RecordingRelay? relay = null, params (TrafficCounter, long)[] traffic)
    {
        using var pair = new Pair(settings, relay: relay);
        prepare?.Invoke(pair);
        byte[] esp = packet(pair);
        var before = pair.Right.Counters.Snapshot();
        int written = pair.Right.Tunnel.Written.Count;
        pair.Inject(esp, trafficClass: trafficClass);
        Expect.InboundDrop(pair.Right, before, reason, traffic);
        Assert.Equal(written, pair.Right.Tunnel.Written.Count);
    }

    private static void Outbound(
        DropReason reason, byte[] packet, Action<Pair>? prepare = null, TunnelSettings? settings = null, int poolBatches = 4,
        params (TrafficCounter, long)[] traffic)
    {
        using var pair = new Pair(settings, poolBatches: poolBatches);
        prepare?.Invoke(pair);
        var before = pair.Left.Counters.Snapshot();
        pair.Left.SendFromTun(packet);
        Expect.OutboundDrop(pair.Left, before, reason, traffic);
        Assert.Empty(pair.Left.Network.Sent);
        Assert.Empty(pair.Left.Bypass.Sent);
    }

    private static void InboundState(DropReason reason, SaState state) => Inbound(reason, pair =>
    {
        byte[] packet = pair.Capture(Packets.Udp(Near, Far));
        pair.RightIn.State = state;
        return packet;
    });

    private static void InboundSaDirection()
    {
        using var pair = new Pair();
        var association = new SecurityAssociation
        {
            Id = new SaIdentity(new Spi(0x3000), pair.RightOuter),
            Source = pair.LeftOuter,
            State = SaState.Valid,
            Encapsulation = new UdpEncapsulation(4500, 4500, default),
            Transform = Suite.Gcm.Transform(false),
            SaDirection = SecurityAssociation.DirectionOut,
        };
        using (pair.Right.Database.Freeze())
        {
            Assert.True(pair.Right.Database.Sad.TryAdd(association));
        }

        var before = pair.Right.Counters.Snapshot();
        pair.Inject(Forge.Seal(Suite.Gcm, 0x3000, 1, Packets.Udp(Near, Far), 4));
        Expect.InboundDrop(pair.Right, before, DropReason.InboundSaDirection);
    }

    // An SA without encapsulation whose packet comes in UDP; and the reverse.
    private static void InboundEncapsulationMismatch()
    {
        foreach (bool udp in new[] { true, false })
        {
            using var pair = new Pair(new TunnelSettings { Udp = udp });
            Pair.Add(pair.Right, new TunnelSettings { Udp = !udp }, 0x3000, pair.LeftOuter, pair.RightOuter);
            var before = pair.Right.Counters.Snapshot();
            pair.Inject(Forge.Seal(Suite.Gcm, 0x3000, 1, Packets.Udp(Near, Far), 4));
            Expect.InboundDrop(pair.Right, before, DropReason.InboundEncapsulationMismatch);
        }
    }

    // The SAD resolves to valid SAs only, so that the stage alone can be given another.
    private static void OutboundSaNotValid()
    {
        using var pair = new Pair();
        byte[] packet = Packets.Udp(Near, Far);
        var batch = pair.Left.Pool.Get();
        batch.Count = 1;
        batch[0] = new Io.Batches.PacketSlot { Offset = batch.Headroom, Length = packet.Length };
        packet.CopyTo(batch.Packet(0));
        pair.LeftOut.State = SaState.Larval;
        var stage = new EncapsulationStage(pair.Left.Database, new BatchClock(pair.Left.Clock), numbersLater: false);
        var reason = stage.Prepare(pair.LeftOut, batch, 0, Packets.Parse(packet), 1500, false, out _);
        pair.Left.Pool.Return(batch);
        Assert.Equal(DropReason.OutboundSaNotValid, reason);
        Assert.Equal(0u, pair.LeftOut.OutboundSequence);
        Assert.Equal(0u, pair.LeftOut.Usage.Packets);
    }

    private static void OutboundTransformFailure()
    {
        using var pair = new Pair();
        using (pair.Left.Database.Freeze())
        {
            pair.Left.Database.Sad.Remove(pair.LeftOut);
            pair.Left.Database.Sad.TryAdd(new SecurityAssociation
            {
                Id = new SaIdentity(new Spi(0x3000), pair.RightOuter),
                Source = pair.LeftOuter,
                State = SaState.Valid,
                ReqId = 1,
                Encapsulation = new UdpEncapsulation(4500, 4500, default),
                Transform = new FailingTransform(),
            });
        }

        var before = pair.Left.Counters.Snapshot();
        pair.Left.SendFromTun(Packets.Udp(Near, Far));
        Expect.OutboundDrop(pair.Left, before, DropReason.OutboundTransformFailure);
        Assert.Empty(pair.Left.Network.Sent);
    }

    private static void OutboundBypassLoop()
    {
        using var pair = new Pair();
        pair.Left.Bypass.Carry = packet => pair.Left.Tunnel.Put(packet);
        var before = pair.Left.Counters.Snapshot();
        byte[] original = Packets.Udp(Near, "10.9.0.1");
        pair.Left.SendFromTun(original);
        Expect.Changes(
            pair.Left, before, [(DropReason.OutboundBypassLoop, 1)],
            (TrafficCounter.TunPacketsRead, 3), (TrafficCounter.BypassedPackets, 2), (TrafficCounter.BypassedBytes, 2 * original.Length));
    }
}
