using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;
using Espalier.Ipsec;
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

    private readonly Way[] _wayOf = new Way[capacity];
    private readonly int[] _run = new int[capacity];
    private readonly int[] _entries = new int[capacity];

    /// <summary>Sends those of the frames <paramref name="start"/> to <paramref name="end"/> (not included) whose transform succeeded.</summary>
    public void Send(PacketBatch batch, FrameList pending, int start, int end)
    {
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

            socket.Send(batch, _run.AsSpan(0, count));
            CountSent(batch, pending, socket, count);
        }
    }

    private void FindSockets(FrameList pending, int start, int end)
    {
        for (int run = start, next; run < end; run = next)
        {
            next = Math.Min(end, pending.EndOfRun(run));
            var association = pending.Associations[run];
            var socket = sockets.Find(association.Source.Version, association.Encapsulation?.SourcePort ?? 0, worker);
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

    private void CountSent(PacketBatch batch, FrameList pending, IOuterSocket socket, int count)
    {
        long packets = 0, bytes = 0;
        for (int i = 0; i < count; i++)
        {
            ref readonly var slot = ref batch[_run[i]];
            if (slot.Error == 0)
            {
                packets++;
                bytes += slot.Length;
                continue;
            }

            counters.Drop(DropReason.OutboundSendFailure);
            if (slot.Error == MessageTooLong)
            {
                LearnFromInterface(socket, pending.Associations[_entries[i]]);
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
