using Espalier.Ipsec;

namespace Espalier.DataPlane.Counters;

/// <summary>The counters of all workers.</summary>
public sealed class DataPlaneCounters
{
    private readonly Lock _lock = new();
    private WorkerCounters[] _workers = [];

    /// <summary>One entry for each worker there ever was.</summary>
    public IReadOnlyList<WorkerCounters> Workers => Volatile.Read(ref _workers);

    /// <summary>Counters for a new worker.</summary>
    public WorkerCounters Add(string name)
    {
        var counters = new WorkerCounters(name);
        lock (_lock)
        {
            Volatile.Write(ref _workers, [.. _workers, counters]);
        }

        return counters;
    }

    /// <summary>Sum over the workers; each value is read on its own, so values that move together may differ by packets on their way.</summary>
    public long Read(DropReason reason)
    {
        long sum = 0;
        foreach (var worker in Volatile.Read(ref _workers))
        {
            sum += worker.Read(reason);
        }

        return sum;
    }

    /// <inheritdoc cref="Read(DropReason)"/>
    public long Read(TrafficCounter counter)
    {
        long sum = 0;
        foreach (var worker in Volatile.Read(ref _workers))
        {
            sum += worker.Read(counter);
        }

        return sum;
    }

    /// <summary>All sums at one time.</summary>
    public CounterSnapshot Snapshot()
    {
        var drops = new long[(int)DropReason.Count];
        for (int i = 0; i < drops.Length; i++)
        {
            drops[i] = Read((DropReason)i);
        }

        var traffic = new long[(int)TrafficCounter.Count];
        for (int i = 0; i < traffic.Length; i++)
        {
            traffic[i] = Read((TrafficCounter)i);
        }

        return new CounterSnapshot(drops, traffic);
    }
}
