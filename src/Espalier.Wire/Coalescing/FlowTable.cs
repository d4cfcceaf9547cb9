using System.Runtime.CompilerServices;

namespace Espalier.Wire.Coalescing;

/// <summary>The runs that may still grow, at most one of each flow. When it is full, the oldest run makes room (dev_gro_receive, gro_flush_oldest).</summary>
internal sealed class FlowTable
{
    /// <summary>As many as the kernel has in one of its buckets (MAX_GRO_SKBS).</summary>
    public const int Capacity = 8;

    /// <summary>No slot, or no run in a slot.</summary>
    public const int None = -1;

    // Hashes first: they are all that a search reads but for the key it finds.
    private readonly uint[] _hashes = new uint[Capacity];
    private readonly int[] _runs = new int[Capacity];
    private readonly FlowKey[] _keys = new FlowKey[Capacity];

    /// <summary>Makes an empty table.</summary>
    public FlowTable() => Clear();

    /// <summary>The slot of the flow's run, or <see cref="None"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int Find(in FlowKey key)
    {
        uint hash = key.Hash;
        for (int slot = 0; slot < _hashes.Length; slot++)
        {
            if (_hashes[slot] == hash && _runs[slot] != None && _keys[slot].Is(key))
            {
                return slot;
            }
        }

        return None;
    }

    /// <summary>The run in a slot.</summary>
    public int RunIn(int slot) => _runs[slot];

    /// <summary>Enters a run of a flow that has none. Runs are numbered by age.</summary>
    public void Open(in FlowKey key, int run)
    {
        int slot = 0;
        for (int i = 1; i < _runs.Length; i++)
        {
            if (_runs[i] < _runs[slot])
            {
                slot = i;
            }
        }

        _hashes[slot] = key.Hash;
        _keys[slot] = key;
        _runs[slot] = run;
    }

    /// <summary>Empties a slot: its run grows no more.</summary>
    public void Close(int slot) => _runs[slot] = None;

    /// <summary>Empties all.</summary>
    public void Clear() => Array.Fill(_runs, None);
}
