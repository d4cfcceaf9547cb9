using System.Runtime.CompilerServices;

namespace Espalier.Ipsec;

/// <summary>
/// Bounded queue of events from the workers to the control thread. Posting neither allocates nor blocks: a ring of cells, each with a turn
/// number that says whether a poster or a taker may use it next. Any number of threads may post and take.
/// </summary>
public sealed class IpsecEventQueue
{
    private readonly Cell[] cells;
    private readonly int mask;
    private long postPosition;
    private long takePosition;
    private long lost;

    /// <summary>Creates a queue.</summary>
    /// <param name="capacity">How many events it holds; rounded up to a power of two, at least 2.</param>
    public IpsecEventQueue(int capacity)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(capacity, 1 << 20);
        int size = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(capacity, 2));
        cells = new Cell[size];
        mask = size - 1;
        for (int i = 0; i < size; i++)
        {
            cells[i].Turn = i;
        }
    }

    /// <summary>How many events it can hold.</summary>
    public int Capacity => cells.Length;

    /// <summary>Events lost because the queue was full.</summary>
    public long Lost => Interlocked.Read(ref lost);

    /// <summary>
    /// Called on the worker, in its batch, when the taker may have seen an empty queue before this event: wakes the control thread.
    /// Must not block or freeze the database.
    /// </summary>
    public Action? Signal { get; set; }

    /// <summary>
    /// Posts an event that is about an SA and nothing else; false if it is lost. Not inlined: the way of each packet has a place for such an event, and would
    /// have to clear it.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool TryPost(IpsecEventKind kind, Sad.SecurityAssociation association) =>
        TryPost(new IpsecEvent(kind, association, null, default, default, 0, 0));

    /// <summary>Posts an event; false if it is lost.</summary>
    public bool TryPost(in IpsecEvent value)
    {
        long position = Volatile.Read(ref postPosition);
        while (true)
        {
            ref var cell = ref cells[position & mask];
            long ahead = Volatile.Read(ref cell.Turn) - position;
            if (ahead == 0)
            {
                long seen = Interlocked.CompareExchange(ref postPosition, position + 1, position);
                if (seen == position)
                {
                    cell.Value = value;
                    // A full fence between publishing and looking at the taker: either it sees this event or it is woken.
                    Interlocked.Exchange(ref cell.Turn, position + 1);
                    if (Volatile.Read(ref takePosition) == position)
                    {
                        Signal?.Invoke();
                    }

                    return true;
                }

                position = seen;
            }
            else if (ahead < 0)
            {
                Interlocked.Increment(ref lost);
                return false;
            }
            else
            {
                position = Volatile.Read(ref postPosition);
            }
        }
    }

    /// <summary>Takes the oldest event.</summary>
    public bool TryTake(out IpsecEvent value)
    {
        long position = Volatile.Read(ref takePosition);
        while (true)
        {
            ref var cell = ref cells[position & mask];
            long ahead = Volatile.Read(ref cell.Turn) - (position + 1);
            if (ahead == 0)
            {
                long seen = Interlocked.CompareExchange(ref takePosition, position + 1, position);
                if (seen == position)
                {
                    value = cell.Value;
                    cell.Value = default;
                    Volatile.Write(ref cell.Turn, position + cells.Length);
                    return true;
                }

                position = seen;
            }
            else if (ahead < 0)
            {
                value = default;
                return false;
            }
            else
            {
                position = Volatile.Read(ref takePosition);
            }
        }
    }

    private struct Cell
    {
        // position: free for the poster of that position; position + 1: holds its event.
        public long Turn;
        public IpsecEvent Value;
    }
}
