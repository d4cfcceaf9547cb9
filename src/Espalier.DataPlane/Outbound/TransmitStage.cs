using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Outbound;

/// <summary>
/// Last stage outbound: sealed packets go out, those of one socket together and in order. What the kernel does not take is dropped and
/// counted: nothing is kept for later.
/// </summary>
internal sealed class TransmitStage(
    IpsecDatabase database, OuterSocketTable sockets, OuterErrorReader errors, LocalPathMtu local, WorkerCounters counters, int capacity,
    int defaultPathMtu, int worker)
{
    private const int MessageTooLong = 90;
    private const int Several = -1;

    private readonly Way[] _wayOf = new Way[capacity];
    private readonly int[] _run = new int[capacity];
    private readonly int[] _entries = new int[capacity];

    /// <summary>Sends those of the frames <paramref name="start"/> to <paramref name="end"/> (not included) whose transform succeeded.</summary>
    public void Send(PacketBatch batch, FrameList pending, int start, int end)
    {
        if (start < end && pending.EndOfRun(start) >= end && AreSealed(pending.Frames[start..end]) && Find(pending.Associations[start]) is { } only)
        {
            var all = pending.Slots[start..end];
            only.Send(batch, all);
            CountSent(batch, pending, only, all, start);
            return;
        }

        FindSockets(pending, start, end);
        for (int first = start; first < end; first++)
        {
            if (_wayOf[first].Socket is not { } socket)
            {
                continue;
            }

            int count = 0;
            for (int i = first; i < end; i++)
            {
                if (ReferenceEquals(_wayOf[i].Socket, socket))
                {
                    _wayOf[i] = default;
                    _entries[count] = i;
                    _run[count++] = pending.Slots[i];
                }
            }

            var run = _run.AsSpan(0, count);
            socket.Send(batch, run);
            CountSent(batch, pending, socket, run, Several);
        }
    }

    private static bool AreSealed(ReadOnlySpan<EspFrame> frames)
    {
        foreach (ref readonly var frame in frames)
        {
            if (frame.Result != DropReason.None)
            {
                return false;
            }
        }

        return true;
    }

    private IOuterSocket? Find(SecurityAssociation association) =>
        sockets.Find(association.Source.Version, association.Encapsulation?.SourcePort ?? 0, worker);

    private void FindSockets(FrameList pending, int start, int end)
    {
        for (int run = start, next; run < end; run = next)
        {
            next = Math.Min(end, pending.EndOfRun(run));
            var socket = Find(pending.Associations[run]);
            for (int i = run; i < next; i++)
            {
                bool isSealed = pending.Frames[i].Result == DropReason.None;
                _wayOf[i] = new Way(isSealed ? socket : null);
                if (isSealed && socket is null)
                {
                    counters.Drop(DropReason.OutboundSendFailure);
                }
            }
        }
    }

    // Their entries follow each other from `first` on, or are those of _entries.
    private void CountSent(PacketBatch batch, FrameList pending, IOuterSocket socket, ReadOnlySpan<int> slots, int first)
    {
        long packets = 0, bytes = 0;
        for (int i = 0; i < slots.Length; i++)
        {
            ref readonly var slot = ref batch[slots[i]];
            if (slot.Error == 0)
            {
                packets++;
                bytes += slot.Length;
                continue;
            }

            counters.Drop(DropReason.OutboundSendFailure);
            if (slot.Error == MessageTooLong)
            {
                LearnFromInterface(socket, pending.Associations[first == Several ? _entries[i] : first + i]);
            }
        }

        counters.Add(TrafficCounter.OutboundPackets, packets);
        counters.Add(TrafficCounter.OutboundBytes, bytes);
    }

    // The errno alone names no MTU and may come from a forged ICMP error that hung on the socket. A local error in the queue is the kernel's own.
    private void LearnFromInterface(IOuterSocket socket, SecurityAssociation association)
    {
        errors.Drain(socket);
        int mtu = PathMtuRules.Accept(
            socket.Version, local.Take(association.Id.Destination) is var named and > 0 ? named : int.MaxValue,
            PathMtuRules.Effective(association, defaultPathMtu));
        if (mtu != 0)
        {
            counters.Add(TrafficCounter.PathMtuLearnt);
            database.Events.TryPost(new IpsecEvent(IpsecEventKind.PathMtu, association, null, default, default, 0, mtu));
        }
    }

    // An array of interfaces would check the type of what is put into it.
    private readonly record struct Way(IOuterSocket? Socket);
}
