using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Outbound;

/// <summary>
/// Where several workers seal one SA at once (run --spread): gives the packets of a batch their sequence numbers, and sends them when it is their turn.
/// <code>
///   number    the worker owns the SA, by one interlocked operation, for as long as it takes to number a run: all packets of the SA in its batch
///   seal      at the same time as others, with a cipher of its own
///   send      the runs of an SA in the order in which they were numbered, one after the other
/// </code>
/// So packets leave in the order of their numbers, whatever the worker that has to send first is doing: the others wait for it, and the peer's replay
/// window sees no reordering. A flow stays with its worker, hence in order too. A worker sends its runs in the order in which it took them; so the run
/// that was taken first of all those that are not sent waits for nothing, and nobody waits for ever. One worker's.
/// </summary>
internal sealed class SpreadStage(IpsecDatabase database, BatchClock clock, SaClaims claims, WorkerCounters counters, int capacity)
{
    // Of each run in a batch, in order: its place among all runs of its SA.
    private readonly uint[] _places = new uint[capacity];

    /// <summary>Numbers all frames, those of one SA beside each other. Those that may not have a number are counted and taken out.</summary>
    public void Number(PacketBatch batch, FrameList pending)
    {
        pending.Group();
        int runs = 0;
        bool dropped = false;
        for (int start = 0, end; start < pending.Count; start = end)
        {
            end = pending.EndOfRun(start);
            var association = pending.Associations[start];
            if (!claims.TryTake(association))
            {
                claims.Wait(association);
            }

            int numbered = NumberRun(batch, association, pending.Frames[start..end]);
            dropped |= numbered < end - start;
            if (numbered > 0)
            {
                _places[runs++] = association.RunsTaken++;
            }

            claims.Release();
        }

        if (dropped)
        {
            pending.RemoveDropped();
        }
    }

    /// <summary>Sends what <see cref="Number"/> numbered: of each SA when all numbers before were sent. Runs that need not wait go together.</summary>
    public void Send(PacketBatch batch, FrameList pending, TransmitStage transmit)
    {
        int run = 0;
        for (int start = 0, end; start < pending.Count; start = end)
        {
            Await(pending.Associations[start], _places[run]);
            int next = run;
            end = start;
            do
            {
                end = pending.EndOfRun(end);
                next++;
            }
            while (end < pending.Count && IsNext(pending.Associations[end], _places[next]));

            transmit.Send(batch, pending, start, end);
            for (int at = start; at < end; at = pending.EndOfRun(at))
            {
                Volatile.Write(ref pending.Associations[at].RunsSent, _places[run++] + 1);
            }
        }
    }

    /// <summary>How many of a run got a number; the rest has a reason.</summary>
    private int NumberRun(PacketBatch batch, SecurityAssociation association, Span<EspFrame> run)
    {
        int numbered = 0;
        foreach (ref var frame in run)
        {
            frame.Result = EspEncapsulation.TryNumber(association, batch.Buffer, ref frame, clock.UnixSeconds, out var notice);
            if (notice is { } kind)
            {
                database.Events.TryPost(new IpsecEvent(kind, association, null, default, default, 0, 0));
            }

            if (frame.Result == DropReason.None)
            {
                numbered++;
            }
            else
            {
                counters.Drop(frame.Result);
            }
        }

        return numbered;
    }

    private static bool IsNext(SecurityAssociation association, uint place) => Volatile.Read(ref association.RunsSent) == place;

    // Who is next is in the middle of a batch, and does not block there.
    private static void Await(SecurityAssociation association, uint place)
    {
        var spin = default(SpinWait);
        while (!IsNext(association, place))
        {
            spin.SpinOnce(sleep1Threshold: -1);
        }
    }
}
