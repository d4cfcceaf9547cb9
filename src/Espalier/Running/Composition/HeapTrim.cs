using Espalier.Io.Host;

namespace Espalier.Running.Composition;

/// <summary>
/// Gives memory back after many SAs and policies went. Collections are rare here, since packets allocate nothing; without this the garbage of 10,000 SAs
/// and policies stayed resident until much later (65 MB, 14 MB before them). A trim is due when as many entries went as are left, so that its cost
/// is in proportion to what was removed; it waits until routing has written what went, because until then routing holds it. Control thread.
/// </summary>
internal sealed class HeapTrim(Func<int> entries, Func<bool> settled, Action trim, TimeProvider time)
{
    /// <summary>Fewer removals than this are not worth a trim: their garbage is about 4 MB at most.</summary>
    internal const int Worthwhile = 1000;

    /// <summary>How soon it is looked again whether routing has settled.</summary>
    internal const int RetryMilliseconds = 50;

    /// <summary>Routing that changes all the time is not waited for any longer.</summary>
    internal static readonly TimeSpan Longest = TimeSpan.FromSeconds(2);

    private int _removed;
    private long? _dueSince;

    /// <summary>An SA or a policy went.</summary>
    internal void Removed() => _removed++;

    /// <summary>To be called in each turn of the control thread. Trims where that is due; returns the milliseconds until it wants to be called again, -1 = no matter.</summary>
    internal int Look()
    {
        if (_removed < Worthwhile || _removed < entries())
        {
            _dueSince = null;
            return -1;
        }

        _dueSince ??= time.GetTimestamp();
        if (!settled() && time.GetElapsedTime(_dueSince.Value) < Longest)
        {
            return RetryMilliseconds;
        }

        _removed = 0;
        _dueSince = null;
        trim();
        return -1;
    }

    /// <summary>
    /// A full, compacting collection, then what the C library keeps of freed cipher contexts: both return what is free to the kernel. The collection stops
    /// the workers: 10 to 70 ms (mostly about 25) after 10,000 SAs and policies on a busy machine, 4 ms where little went. The other, 0.2 to 7 ms, does not.
    /// </summary>
    internal static void Collect()
    {
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        NativeHeap.Trim();
    }
}
