using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Workers;

/// <summary>
/// The SAs that one of several workers of a direction owns for the batch at hand. Sequence numbers, replay window, counters and keys of an SA are so used
/// by one worker at a time, and packets leave in the order of their numbers. A worker that meets an SA of another one's finishes and gives back what it has before it
/// waits: nobody who waits owns anything, so nobody waits for ever. One interlocked operation for the packets of an SA in a batch. One worker's.
/// </summary>
/// <param name="owner">Number of the worker, not 0, that no other has.</param>
/// <param name="capacity">SAs at most: packets of a batch.</param>
internal sealed class SaClaims(int owner, int capacity)
{
    private readonly SecurityAssociation[] _held = new SecurityAssociation[capacity];
    private int _count;

    /// <summary>True where the worker owns no SA.</summary>
    public bool IsEmpty => _count == 0;

    /// <summary>True where the SA is this worker's, from now or before. False: another one's; give back all, then <see cref="Wait"/>.</summary>
    public bool TryTake(SecurityAssociation association)
    {
        int now = Volatile.Read(ref association.Owner);
        if (now == owner)
        {
            return true;
        }

        if (now != 0 || _count == _held.Length || Interlocked.CompareExchange(ref association.Owner, owner, 0) != 0)
        {
            return false;
        }

        _held[_count++] = association;
        return true;
    }

    /// <summary>Waits until the SA can be had, and takes it. The worker owns nothing before. Its owner is in the middle of a batch, and does not block there.</summary>
    public void Wait(SecurityAssociation association)
    {
        var spin = default(SpinWait);
        while (!TryTake(association))
        {
            spin.SpinOnce(sleep1Threshold: -1);
        }
    }

    /// <summary>Gives back all.</summary>
    public void Release()
    {
        for (int i = 0; i < _count; i++)
        {
            Volatile.Write(ref _held[i].Owner, 0);
        }

        // An SA may be disposed between batches.
        _held.AsSpan(0, _count).Clear();
        _count = 0;
    }
}
