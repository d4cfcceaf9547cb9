using Espalier.Ipsec;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Batches;

/// <summary>
/// The ESP packets of one batch that are laid out for their transform, in order of arrival: entry i is frame i, its SA and its slot.
/// The arrays are made once, as long as a batch; its pipeline owns them.
/// </summary>
internal sealed class FrameList(int capacity)
{
    private readonly EspFrame[] _frames = new EspFrame[capacity];
    private readonly SecurityAssociation[] _associations = new SecurityAssociation[capacity];
    private readonly int[] _slots = new int[capacity];

    /// <summary>Entries in use.</summary>
    public int Count { get; private set; }

    /// <summary>The frames in use.</summary>
    public Span<EspFrame> Frames => _frames.AsSpan(0, Count);

    /// <summary>The SA of each frame.</summary>
    public ReadOnlySpan<SecurityAssociation> Associations => _associations.AsSpan(0, Count);

    /// <summary>The slot of each frame.</summary>
    public ReadOnlySpan<int> Slots => _slots.AsSpan(0, Count);

    /// <summary>The frame to fill before <see cref="Add"/>; there is one for every slot of a batch. Filled where it stays: a copy would wait for its parts.</summary>
    public ref EspFrame Next => ref _frames[Count];

    /// <summary>Adds <see cref="Next"/>.</summary>
    public void Add(SecurityAssociation association, int slot)
    {
        _associations[Count] = association;
        _slots[Count] = slot;
        Count++;
    }

    /// <summary>Where the run of frames of one SA that starts at <paramref name="start"/> ends.</summary>
    public int EndOfRun(int start)
    {
        var association = _associations[start];
        int end = start + 1;
        while (end < Count && ReferenceEquals(_associations[end], association))
        {
            end++;
        }

        return end;
    }

    /// <summary>Puts the frames of each SA beside each other. SAs stay in the order of their first frame, and the frames of each in theirs.</summary>
    public void Group()
    {
        for (int start = 0; start < Count;)
        {
            var association = _associations[start];
            start = EndOfRun(start);
            for (int i = start + 1; i < Count; i++)
            {
                if (ReferenceEquals(_associations[i], association))
                {
                    Move(i, start++);
                }
            }
        }
    }

    /// <summary>Takes out the frames that have a reason to be dropped.</summary>
    public void RemoveDropped()
    {
        int kept = 0;
        for (int i = 0; i < Count; i++)
        {
            if (_frames[i].Result == DropReason.None)
            {
                (_frames[kept], _associations[kept], _slots[kept]) = (_frames[i], _associations[i], _slots[i]);
                kept++;
            }
        }

        _associations.AsSpan(kept, Count - kept).Clear();
        Count = kept;
    }

    private void Move(int from, int to)
    {
        var (frame, association, slot) = (_frames[from], _associations[from], _slots[from]);
        _frames.AsSpan(to, from - to).CopyTo(_frames.AsSpan(to + 1));
        _associations.AsSpan(to, from - to).CopyTo(_associations.AsSpan(to + 1));
        _slots.AsSpan(to, from - to).CopyTo(_slots.AsSpan(to + 1));
        (_frames[to], _associations[to], _slots[to]) = (frame, association, slot);
    }

    /// <summary>Forgets them, references to SAs included: an SA may be disposed between batches.</summary>
    public void Clear()
    {
        _associations.AsSpan(0, Count).Clear();
        Count = 0;
    }
}
