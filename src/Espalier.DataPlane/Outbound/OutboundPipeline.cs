using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Wire.Fragmentation;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Outbound;

/// <summary>
/// The outbound way of a packet, from the TUN to the outer sockets (RFC 4301 §5.1, RFC 4303 §3.3), one class a stage, one batch at a time:
/// <code>
///   1  parse                     FlowParser ──▶ 5 where the packet before was of the same flow, and had an SA
///   2  ports of fragments        FragmentPorts
///   3  policy                    PolicyStage ───────────▶ BypassStage (in clear; ICMP error or IPv4 fragments where too large)
///   4  security association      AssociationStage ──────▶ ACQUIRE event
///   5  size                      SizeStage ─────────────▶ ICMP error, or IPv4 fragments in a second batch
///   6  ESP around the packet     SaClaims (several workers), EncapsulationStage
///   ── for the whole batch ──
///      numbers, and turns        SpreadStage (several workers of one SA: numbers are taken here, and stage 8 waits for its turn)
///   7  seal                      SealStage               runs of one SA together
///   8  send                      TransmitStage           those of one socket together
/// </code>
/// A packet that leaves the way leaves it with one <see cref="DropReason"/>. Owned by one worker, which is inside its gate.
/// </summary>
internal sealed class OutboundPipeline
{
    private readonly BatchPool _pool;
    private readonly BatchClock _clock;
    private readonly WorkerCounters _counters;
    private readonly int _defaultPathMtu;
    private readonly FlowParser _parser = new();
    private readonly FragmentPorts _fragments = new();
    private readonly PolicyUse _use;
    private readonly SaClaims? _claims;
    private readonly PolicyStage _policies;
    private readonly BypassStage _bypass;
    private readonly AssociationStage _associations;
    private readonly IcmpErrorSender _icmp;
    private readonly EncapsulationStage _encapsulation;
    private readonly SpreadStage? _spread;
    private readonly SealStage _seal;
    private readonly TransmitStage _transmit;
    private readonly FrameList _pending;
    private readonly FrameRow _row = new();
    private Decision _latest;
    private int _largestFrame;

    /// <summary>Composes the stages.</summary>
    /// <param name="environment">What all pipelines share.</param>
    /// <param name="counters">The worker's counters.</param>
    public OutboundPipeline(PipelineEnvironment environment, WorkerCounters counters)
    {
        var database = environment.Database;
        _pool = environment.Pool;
        _counters = counters;
        _defaultPathMtu = environment.DefaultPathMtu;
        _clock = new BatchClock(database.Clock);
        _use = new PolicyUse(environment.WorkerCount > 1);
        var claims = environment.CreateClaims(inbound: false, _pool.SlotsPerBatch);
        _spread = environment.Spread && claims is not null ? new SpreadStage(database, _clock, claims, counters, _pool.SlotsPerBatch) : null;
        _claims = _spread is null ? claims : null;
        _policies = new PolicyStage(database.Spd, _clock, _use);
        _bypass = new BypassStage(environment.Bypass, _clock, counters);
        _associations = new AssociationStage(database, _clock, counters);
        _icmp = new IcmpErrorSender(environment.Icmp, _clock, counters);
        _encapsulation = new EncapsulationStage(database, _clock, numbersLater: _spread is not null);
        _seal = new SealStage(counters, _spread is null ? 0 : environment.Worker);
        var errors = new OuterErrorReader(database, environment.LocalPathMtu, counters, _defaultPathMtu);
        _transmit = new TransmitStage(
            database, environment.Sockets, errors, environment.LocalPathMtu, counters, _pool.SlotsPerBatch, _defaultPathMtu, environment.Worker);
        _pending = new FrameList(_pool.SlotsPerBatch);
        SegmentsAtOnce = _pool.SlotsPerBatch;
    }

    /// <summary>
    /// How many segments of super-packets the next batch had best hold, going by the last one: as many as fill whole messages to the kernel. What is left of a
    /// super-packet would go in one of its own.
    /// </summary>
    public int SegmentsAtOnce { get; private set; }

    /// <summary>The room that packets of the next batch had best have around them.</summary>
    public FrameSpacing Spacing => _row.Next;

    /// <summary>Handles the packets of a batch, each an IP packet at its slot's place. The slots are used up afterwards.</summary>
    public void Process(PacketBatch batch)
    {
        _clock.Update();
        _counters.Add(TrafficCounter.Batches);
        _counters.Add(TrafficCounter.TunPacketsRead, batch.Count);
        for (int i = 0; i < batch.Count; i++)
        {
            var reason = Handle(batch, i);
            if (reason != DropReason.None)
            {
                _counters.Drop(reason);
            }
        }

        Flush(batch);
        _row.Settle();
        _use.Settle(_clock.UnixSeconds);

        // Behind the gate policies and SAs may change.
        _latest = default;
    }

    private DropReason Handle(PacketBatch batch, int index)
    {
        if (batch[index].Truncated)
        {
            return DropReason.OutboundOversized;
        }

        if (!_parser.TryParse(batch.Packet(index)))
        {
            return DropReason.OutboundMalformedInner;
        }

        if (!_parser.IsSameFlow || !_latest.Holds)
        {
            return Decide(batch, index, _parser.Summary);
        }

        _use.Count(_latest.Policy!, _parser.Summary.TotalLength, _clock.UnixSeconds);
        return Protect(batch, index, _latest.Association!, _parser.Summary);
    }

    private DropReason Decide(PacketBatch batch, int index, in PacketSummary summary)
    {
        _latest = default;
        var packet = batch.Packet(index)[..summary.TotalLength];
        if (!_fragments.TryResolve(summary, _clock.Milliseconds, out var flow))
        {
            return DropReason.OutboundFragmentWithoutPorts;
        }

        _fragments.Remember(summary, _clock.Milliseconds);
        switch (_policies.Decide(flow, summary.TotalLength, out var policy, out var reason))
        {
            case OutboundVerdict.Protect:
                break;
            case OutboundVerdict.Bypass when QuotedFlow.TryReverse(packet, summary, out var quoted)
                && _policies.DecideError(quoted, summary.TotalLength) is { } about:
                (policy, flow) = (about, quoted);
                break;
            case OutboundVerdict.Bypass:
                return PassInClear(packet, summary);
            default:
                return reason;
        }

        if (_associations.Resolve(policy!, flow) is { } association)
        {
            _latest = new Decision(policy, association, association.Dying);
            _row.Fit(batch, index, association);
            return Protect(batch, index, association, summary);
        }

        // The kernel's xfrm_tmpl_resolve: an optional template without SA is left out, and the packet goes on without it.
        return policy!.Templates[0].Optional ? PassInClear(packet, summary) : DropReason.OutboundNoSa;
    }

    // What is larger than the way out is treated as by a router, since the kernel only refuses it (RFC 1812 §4.2.2.7, §5.3.7; RFC 8200 §5).
    private DropReason PassInClear(Span<byte> packet, in PacketSummary summary)
    {
        var reason = _bypass.Send(packet, summary, out int mtu);
        if (mtu == 0)
        {
            return reason;
        }

        if (summary.DontFragment)
        {
            _icmp.TooBig(packet, summary, mtu);
            return DropReason.OutboundTooBig;
        }

        return PassFragmentsInClear(packet, summary.Destination, mtu);
    }

    private DropReason PassFragmentsInClear(ReadOnlySpan<byte> packet, InternetAddress destination, int mtu)
    {
        if (!IPv4Fragmenter.TryCreate(packet, mtu, out var fragmenter))
        {
            return DropReason.OutboundMalformedInner;
        }

        if (_pool.TryRent() is not { } extra)
        {
            return DropReason.PoolEmpty;
        }

        _counters.Add(TrafficCounter.FragmentedPackets);
        for (bool more = true; more;)
        {
            more = FillWithFragments(extra, ref fragmenter);
            for (int i = 0; i < extra.Count; i++)
            {
                _counters.Add(TrafficCounter.FragmentsCreated);
                if (_bypass.SendFragment(extra.Packet(i), destination) is var reason and not DropReason.None)
                {
                    _counters.Drop(reason);
                }
            }
        }

        _pool.Return(extra);
        return DropReason.None;
    }

    private DropReason Protect(PacketBatch batch, int index, SecurityAssociation association, in PacketSummary summary)
    {
        int pathMtu = PathMtuRules.Effective(association, _defaultPathMtu);
        var verdict = SizeStage.Decide(association, summary, pathMtu, out int mtu);
        switch (verdict)
        {
            case SizeVerdict.TooBig:
                _icmp.TooBig(batch.Packet(index)[..summary.TotalLength], summary, mtu);
                return DropReason.OutboundTooBig;
            case SizeVerdict.Fragment:
                return ProtectFragments(batch, index, association, mtu, pathMtu);
            default:
                return Encapsulate(batch, index, association, summary, pathMtu, verdict == SizeVerdict.FitsInOuterFragments);
        }
    }

    private DropReason Encapsulate(
        PacketBatch batch, int index, SecurityAssociation association, in PacketSummary summary, int pathMtu, bool mayFragmentOutside)
    {
        if (_claims is { } claims && !claims.TryTake(association))
        {
            Flush(batch);
            claims.Wait(association);
        }

        ref var frame = ref _pending.Next;
        var reason = _encapsulation.Prepare(association, batch, index, summary, pathMtu, mayFragmentOutside, out frame);
        if (reason == DropReason.None)
        {
            _pending.Add(association, index);
            _largestFrame = Math.Max(_largestFrame, frame.Length);
        }

        return reason;
    }

    // The packets before it are sent first, so that sequence numbers leave in order; then its fragments, from a batch of their own.
    private DropReason ProtectFragments(PacketBatch batch, int index, SecurityAssociation association, int mtu, int pathMtu)
    {
        if (!IPv4Fragmenter.TryCreate(batch.Packet(index), mtu, out var fragmenter))
        {
            return DropReason.OutboundMalformedInner;
        }

        if (_pool.TryRent() is not { } extra)
        {
            return DropReason.PoolEmpty;
        }

        Flush(batch);
        _counters.Add(TrafficCounter.FragmentedPackets);
        bool more = true;
        while (more)
        {
            more = FillWithFragments(extra, ref fragmenter);
            EncapsulateFragments(extra, association, mtu, pathMtu);
        }

        _pool.Return(extra);
        return DropReason.None;
    }

    private static bool FillWithFragments(PacketBatch extra, ref IPv4Fragmenter fragmenter)
    {
        extra.Clear();
        while (extra.Count < extra.Capacity)
        {
            int index = extra.Count;
            int offset = extra.SlotStart(index) + extra.Headroom;
            if (!fragmenter.TryWriteNext(extra.Buffer.AsSpan(offset, extra.SlotSize - extra.Headroom), out int length))
            {
                return false;
            }

            extra[index] = new PacketSlot { Offset = offset, Length = length };
            extra.Count++;
        }

        return true;
    }

    private void EncapsulateFragments(PacketBatch extra, SecurityAssociation association, int mtu, int pathMtu)
    {
        bool mayFragmentOutside = mtu > association.InnerMtu(pathMtu);
        for (int i = 0; i < extra.Count; i++)
        {
            _counters.Add(TrafficCounter.FragmentsCreated);
            var reason = InnerPacketParser.TryParse(extra.Packet(i), out var summary)
                ? Encapsulate(extra, i, association, summary, pathMtu, mayFragmentOutside)
                : DropReason.OutboundMalformedInner;
            if (reason != DropReason.None)
            {
                _counters.Drop(reason);
            }
        }

        Flush(extra);
    }

    private void Flush(PacketBatch batch)
    {
        if (_pending.Count > 0)
        {
            _spread?.Number(batch, _pending);
            _seal.Seal(batch, _pending);
            if (_spread is { } spread)
            {
                spread.Send(batch, _pending, _transmit);
            }
            else
            {
                _transmit.Send(batch, _pending, 0, _pending.Count);
            }

            _pending.Clear();
            int whole = Math.Clamp(IOuterSocket.LargestMessage / _largestFrame, 1, _pool.SlotsPerBatch);
            SegmentsAtOnce = _pool.SlotsPerBatch / whole * whole;
            _largestFrame = 0;
        }

        _claims?.Release();
    }

    // What was decided about the packet before, in the same batch. Packets of the batch may bring its SA to a limit: then the SAD is asked again.
    private readonly record struct Decision(SecurityPolicy? Policy, SecurityAssociation? Association, bool WasDying)
    {
        public bool Holds => Association is { State: SaState.Valid } association && association.Dying == WasDying;
    }
}
