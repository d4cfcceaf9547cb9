using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Ipsec.Tunnel;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Inbound;

/// <summary>
/// The inbound way of a packet, from an outer socket to the TUN (RFC 4301 §5.2, RFC 4303 §3.4), one class a stage, one batch at a time:
/// <code>
///   ── for the whole batch ──
///   1  arrival: SPI, SA, encapsulation, length, limits, replay    ArrivalStage ──▶ keepalives end here, IKE goes to its daemon
///   2  open                                                       OpenStage      runs of one SA together
///   ── in order, for each packet whose ICV was right ──
///   3  replay window, use, padding, next header, TFC padding      EspDecapsulation.Commit
///   4  the peer's address                                         MappingStage ──▶ MAPPING event
///   5  parse, ports of fragments                                  FlowParser, FragmentPorts
///   6  the SA's own selector                                      SelectorStage
///   7  DSCP and ECN                                               TunnelHeader
///   8  policy                                                     PolicyCheckStage
///      (the ports, 6 and the verdict of 8 stay as they were, where the packet before was of the same flow and SA and passed)
///   ── for the whole batch ──
///   9  TUN                                                        DeliveryStage
/// </code>
/// A packet that leaves the way leaves it with one <see cref="DropReason"/>. Owned by one worker, which is inside its gate.
/// </summary>
internal sealed class InboundPipeline
{
    private readonly IpsecDatabase _database;
    private readonly BatchClock _clock;
    private readonly WorkerCounters _counters;
    private readonly PolicyUse _use;
    private readonly SaClaims? _claims;
    private readonly ArrivalStage _arrival;
    private readonly MappingStage _mapping;
    private readonly FlowParser _parser = new();
    private readonly FragmentPorts _fragments = new();
    private readonly PolicyCheckStage _policies;
    private readonly DeliveryStage _delivery;
    private readonly FrameList _arrived;

    // Of the packet before, if it passed: what brought it and what let it in. In one batch.
    private SecurityAssociation? _latestAssociation;
    private SecurityPolicy? _latestPolicy;

    /// <summary>Composes the stages.</summary>
    /// <param name="environment">What all pipelines share.</param>
    /// <param name="counters">The worker's counters.</param>
    public InboundPipeline(PipelineEnvironment environment, WorkerCounters counters)
    {
        _database = environment.Database;
        _counters = counters;
        _clock = new BatchClock(_database.Clock);
        _use = new PolicyUse(environment.WorkerCount > 1);
        _claims = environment.CreateClaims(inbound: true, environment.ReceivePool.PacketsPerBatch);
        _arrival = new ArrivalStage(_database, environment.Devices.Relay, counters, _claims);
        _mapping = new MappingStage(_database, counters);
        _policies = new PolicyCheckStage(_database, environment.LocalAddresses, _clock, _use);
        _delivery = new DeliveryStage(environment.Devices.Writer, counters, environment.ReceivePool.PacketsPerBatch);
        _arrived = new FrameList(environment.ReceivePool.PacketsPerBatch);
    }

    /// <summary>Handles what a socket received, each an ESP packet or a UDP payload at its slot's place. The slots are used up afterwards.</summary>
    public void Process(PacketBatch batch, IOuterSocket socket)
    {
        _clock.Update();
        _counters.Add(TrafficCounter.Batches);
        _counters.Add(TrafficCounter.OuterPacketsRead, batch.Count);
        for (int next = 0; next < batch.Count;)
        {
            next = _arrival.Check(batch, socket, next, _arrived);
            Finish(batch);
        }

        _use.Settle(_clock.UnixSeconds);

        // Behind the gate policies and SAs may change.
        (_latestAssociation, _latestPolicy) = (null, null);
    }

    private void Finish(PacketBatch batch)
    {
        OpenStage.Open(batch, _arrived);

        var frames = _arrived.Frames;
        for (int i = 0; i < frames.Length; i++)
        {
            var reason = Handle(batch, frames[i], _arrived.Associations[i], _arrived.Slots[i]);
            if (reason == DropReason.None)
            {
                _delivery.Add(_arrived.Slots[i]);
            }
            else
            {
                _counters.Drop(reason);
            }
        }

        _delivery.Deliver(batch);
        _arrived.Clear();
        _claims?.Release();
    }

    private DropReason Handle(PacketBatch batch, in EspFrame frame, SecurityAssociation association, int index)
    {
        if (frame.Result != DropReason.None)
        {
            EspDecapsulation.CountFailure(association, frame.Result);
            return frame.Result;
        }

        ref var slot = ref batch[index];
        var opened = batch.Buffer.AsSpan(frame.Offset, frame.Length);
        var reason = EspDecapsulation.Commit(association, frame.Sequence, opened, _clock.UnixSeconds, out var inner, out var notice);
        if (notice is { } kind)
        {
            _database.Events.TryPost(kind, association);
        }

        // A dummy packet and one with a bad trailer are authentic too, and say where the peer is. A replayed one says where an attacker is.
        if (IsAuthenticAndNew(reason))
        {
            _mapping.Check(association, slot);
        }

        if (reason != DropReason.None)
        {
            return reason;
        }

        if (inner.HasUnusualPadding)
        {
            _counters.Add(TrafficCounter.UnusualPadding);
        }

        slot.Offset = frame.Offset + inner.Offset;
        slot.Length = inner.Length;
        return CheckInner(association, batch.Packet(index), slot.TrafficClass);
    }

    private static bool IsAuthenticAndNew(DropReason reason) => reason is
        DropReason.None or DropReason.InboundDummy or DropReason.InboundBadPadding or DropReason.InboundBadNextHeader
        or DropReason.InboundMalformedInner;

    private DropReason CheckInner(SecurityAssociation association, Span<byte> packet, byte outerTrafficClass)
    {
        if (!_parser.TryParse(packet))
        {
            return DropReason.InboundMalformedInner;
        }

        if (!_parser.IsSameFlow || !ReferenceEquals(association, _latestAssociation))
        {
            return CheckFlow(association, packet, _parser.Summary, outerTrafficClass);
        }

        var reason = CheckEcn(association, packet, outerTrafficClass);
        if (reason == DropReason.None)
        {
            _use.Count(_latestPolicy!, _parser.Summary.TotalLength, _clock.UnixSeconds);
        }

        return reason;
    }

    private DropReason CheckFlow(SecurityAssociation association, Span<byte> packet, in PacketSummary summary, byte outerTrafficClass)
    {
        _latestAssociation = null;
        if (!_fragments.TryResolve(summary, _clock.Milliseconds, out var flow))
        {
            return DropReason.InboundFragmentWithoutPorts;
        }

        var reason = SelectorStage.Check(association, flow, packet, summary);
        if (reason == DropReason.None)
        {
            reason = CheckEcn(association, packet, outerTrafficClass);
        }

        if (reason == DropReason.None)
        {
            reason = _policies.Check(association, flow, summary.TotalLength, out _latestPolicy);
            reason = reason == DropReason.None
                ? reason : _policies.CheckError(association, packet, summary, flow, reason, ref _latestPolicy);
        }

        if (reason == DropReason.None)
        {
            _fragments.Remember(summary, _clock.Milliseconds);
            _latestAssociation = association;
        }

        return reason;
    }

    // RFC 6040 §4.2.
    private DropReason CheckEcn(SecurityAssociation association, Span<byte> packet, byte outerTrafficClass)
    {
        bool permitted = TunnelHeader.TryDecapsulate(packet, outerTrafficClass, association.Flags, out var alert);
        if (alert != EcnAlert.None)
        {
            _counters.Add(TrafficCounter.EcnAlerts);
        }

        return permitted ? DropReason.None : DropReason.InboundEcnForbidden;
    }
}
