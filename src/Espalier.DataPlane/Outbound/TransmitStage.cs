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

    private readonly IOuterSocket?[] _socketOf = new IOuterSocket?[capacity];
    private readonly int[] _run = new int[capacity];
    private readonly int[] _entries = new int[capacity];

    /// <summary>Sends all frames whose transform succeeded.</summary>
    public void Send(PacketBatch batch, FrameList pending)
    {
        FindSockets(pending);
        for (int first = 0; first < pending.Count; first++)
        {
            if (_socketOf[first] is not { } socket)
            {
                continue;
            }

            int count = 0;
            for (int i = first; i < pending.Count; i++)
            {
                if (ReferenceEquals(_socketOf[i], socket))
                {
                    _socketOf[i] = null;
                    _entries[count] = i;
                    _run[count++] = pending.Slots[i];
                }
            }

            socket.Send(batch, _run.AsSpan(0, count));
            CountSent(batch, pending, socket, count);
        }
    }

    private void FindSockets(FrameList pending)
    {
        var frames = pending.Frames;
        for (int i = 0; i < frames.Length; i++)
        {
            _socketOf[i] = null;
            if (frames[i].Result == DropReason.None)
            {
                var association = pending.Associations[i];
                _socketOf[i] = sockets.Find(association.Source.Version, association.Encapsulation?.SourcePort ?? 0, worker);
                if (_socketOf[i] is null)
                {
                    counters.Drop(DropReason.OutboundSendFailure);
                }
            }
        }
    }

    private void CountSent(PacketBatch batch, FrameList pending, IOuterSocket socket, int count)
    {
        for (int i = 0; i < count; i++)
        {
            ref readonly var slot = ref batch[_run[i]];
            if (slot.Error == 0)
            {
                counters.Add(TrafficCounter.OutboundPackets);
                counters.Add(TrafficCounter.OutboundBytes, slot.Length);
                continue;
            }

            counters.Drop(DropReason.OutboundSendFailure);
            if (slot.Error == MessageTooLong)
            {
                LearnFromInterface(socket, pending.Associations[_entries[i]]);
            }
        }
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
}
