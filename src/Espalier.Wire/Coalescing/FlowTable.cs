namespace Espalier.Wire.Coalescing;

/// <summary>The runs that may still grow, at most one of each flow. When it is full, the oldest run makes room (dev_gro_receive, gro_flush_oldest).</summary>
internal sealed class FlowTable
{
    /// <summary>As many as the kernel has in one of its buckets (MAX_GRO_SKBS).</summary>
    public const int Capacity = 8;

    private const int None = -1;

    private readonly FlowKey[] _keys = new FlowKey[Capacity];
    private readonly int[] _runs = new int[Capacity];
    private int _count;

    /// <summary>The flow's run, or -1.</summary>
    public int Find(in FlowKey key)
    {
        // The youngest first: the next packet is most often of the same flow as the last.
        for (int i = _count - 1; i >= 0; i--)
        {
            if (_keys[i] == key)
            {
                return _runs[i];
            }
        }

        return None;
    }

    /// <summary>Enters a run of a flow that has none.</summary>
    public void Open(in FlowKey key, int run)
    {
        if (_count == Capacity)
        {
            RemoveAt(0);
        }

        _keys[_count] = key;
        _runs[_count++] = run;
    }

    /// <summary>Takes out a run, if it is there: it grows no more.</summary>
    public void Close(int run)
    {
        int index = Array.IndexOf(_runs, run, 0, _count);
        if (index >= 0)
        {
            RemoveAt(index);
        }
    }

    /// <summary>Takes out all.</summary>
    public void Clear() => _count = 0;

    private void RemoveAt(int index)
    {
        _count--;
        Array.Copy(_keys, index + 1, _keys, index, _count - index);
        Array.Copy(_runs, index + 1, _runs, index, _count - index);
    }
}
