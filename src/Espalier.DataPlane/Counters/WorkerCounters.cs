using Espalier.Ipsec;

namespace Espalier.DataPlane.Counters;

/// <summary>
/// The counters of one worker: plain longs that only its thread writes and any thread reads, so that counting costs an increment.
/// </summary>
public sealed class WorkerCounters
{
    // Two cache lines on either side, so that no other worker's writes share a line with these.
    private const int Padding = 16;

    private readonly long[] _values = new long[Padding + (int)DropReason.Count + (int)TrafficCounter.Count + Padding];

    /// <summary>Creates zeroes.</summary>
    public WorkerCounters(string name) => Name = name;

    /// <summary>Name of the worker, for the metrics.</summary>
    public string Name { get; }

    /// <summary>Counts one packet dropped. Worker's thread only.</summary>
    public void Drop(DropReason reason) => _values[Padding + (int)reason]++;

    /// <summary>Counts packets dropped. Worker's thread only.</summary>
    public void Drop(DropReason reason, int packets) => _values[Padding + (int)reason] += packets;

    /// <summary>Adds to a counter. Worker's thread only.</summary>
    public void Add(TrafficCounter counter, long value = 1) => _values[Padding + (int)DropReason.Count + (int)counter] += value;

    /// <summary>Reads a drop counter, from any thread.</summary>
    public long Read(DropReason reason) => Volatile.Read(ref _values[Padding + (int)reason]);

    /// <summary>Reads a traffic counter, from any thread.</summary>
    public long Read(TrafficCounter counter) => Volatile.Read(ref _values[Padding + (int)DropReason.Count + (int)counter]);
}
