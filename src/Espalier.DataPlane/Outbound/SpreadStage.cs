using System.Diagnostics;
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
/// that was taken first of all those that are not sent waits for nothing, and nobody waits for ever. Where a worker has to wait so long that its
/// predecessor must have lost its processor, there are fewer processors than workers, and the next runs of the SA are handled by one worker at a time, which
/// owns the SA until they are sent, as without this stage. One worker's.
/// </summary>
internal sealed class SpreadStage(IpsecDatabase database, BatchClock clock, SaClaims claims, WorkerCounters counters, int capacity)
{
    // Longer than it takes the workers before to send, shorter than a thread is away that lost its processor.
    private const long LongWaitMicroseconds = 500;

    // Some hundredths of a second of traffic; after each long wait that follows soon eight times as many, up to some minutes.
    private const uint FewestRunsAlone = 1024;
    private const uint MostRunsAlone = 1 << 22;
    private const uint RunsAloneGrowth = 8;

    // So many runs without a long wait, and the next one counts as the first.
    private const uint RunsUntilForgotten = 1 << 17;

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
            bool alone = Own(association, mayBeAlone: end - start == pending.Count);
            int numbered = NumberRun(batch, association, pending.Frames[start..end]);
            dropped |= numbered < end - start;
            if (numbered > 0)
            {
                _places[runs++] = association.RunsTaken++;
            }

            if (!alone)
            {
                claims.Release();
            }
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

        claims.Release();
    }

    /// <summary>
    /// Takes the SA; true where it is to be kept until the run is sent. Nobody who waits owns anything; who keeps an SA has its turn at once, and no other SA in
    /// its batch.
    /// </summary>
    private bool Own(SecurityAssociation association, bool mayBeAlone)
    {
        var spin = default(SpinWait);
        while (true)
        {
            if (!claims.TryTake(association))
            {
                claims.Wait(association);
            }

            uint left = Volatile.Read(ref association.RunsAlone);
            if (!mayBeAlone || left == 0)
            {
                return false;
            }

            if (IsNext(association, association.RunsTaken))
            {
                Volatile.Write(ref association.RunsAlone, left - 1);
                return true;
            }

            claims.Release();
            spin.SpinOnce(sleep1Threshold: -1);
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
                database.Events.TryPost(kind, association);
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

    /// <summary>
    /// Has the next runs handled by one worker at a time. Where processors are always too few the option so costs next to nothing: of minutes, one long wait.
    /// </summary>
    internal static void NoteLongWait(SecurityAssociation association)
    {
        if (Volatile.Read(ref association.RunsAlone) != 0)
        {
            return;
        }

        uint last = association.RunsAloneLast;
        bool isForgotten = last == 0 || association.RunsTaken - association.RunsAloneSince > last + RunsUntilForgotten;
        uint runs = isForgotten ? FewestRunsAlone : Math.Min(MostRunsAlone, last * RunsAloneGrowth);
        association.RunsAloneSince = association.RunsTaken;
        association.RunsAloneLast = runs;
        Volatile.Write(ref association.RunsAlone, runs);
    }

    // Who is next is in the middle of a batch, and does not block there.
    private static void Await(SecurityAssociation association, uint place)
    {
        var spin = default(SpinWait);
        long since = Stopwatch.GetTimestamp();
        while (!IsNext(association, place))
        {
            spin.SpinOnce(sleep1Threshold: -1);
        }

        if (spin.NextSpinWillYield && Stopwatch.GetElapsedTime(since).TotalMicroseconds > LongWaitMicroseconds)
        {
            NoteLongWait(association);
        }
    }
}
