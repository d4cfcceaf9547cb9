namespace Espalier.Running.Composition;

/// <summary>
/// Gives memory back after a flush of many entries. Collections are rare here, since packets allocate nothing; without this the garbage of 10,000 SAs and
/// policies stayed resident (65 MB, 14 MB before them; 28 MB with this) until much later. Control thread.
/// </summary>
internal sealed class HeapTrim(Func<int> entries, Action collect)
{
    private const int Worthwhile = 1000;
    private int _peak;

    /// <summary>To be called after each turn of the control thread: collects once when more than half of many entries are gone.</summary>
    internal void Look()
    {
        int now = entries();
        _peak = Math.Max(_peak, now);
        if (_peak - now >= Worthwhile && now < _peak / 2)
        {
            _peak = now;
            collect();
        }
    }

    /// <summary>A full, compacting collection that returns what is free to the kernel: some milliseconds, in which the workers stand.</summary>
    internal static void Collect() => GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
}
