using Espalier.Ipsec;

namespace Espalier.DataPlane.Counters;

/// <summary>The counters as they were at one time.</summary>
public sealed class CounterSnapshot
{
    private readonly long[] _drops;
    private readonly long[] _traffic;

    internal CounterSnapshot(long[] drops, long[] traffic)
    {
        _drops = drops;
        _traffic = traffic;
    }

    /// <summary>Packets dropped for a reason.</summary>
    public long this[DropReason reason] => _drops[(int)reason];

    /// <summary>A traffic counter.</summary>
    public long this[TrafficCounter counter] => _traffic[(int)counter];

    /// <summary>All drops.</summary>
    public long TotalDrops => _drops.Sum();

    /// <summary>Drops by reason, those that happened only.</summary>
    public IEnumerable<KeyValuePair<DropReason, long>> Drops =>
        _drops.Select((value, i) => KeyValuePair.Create((DropReason)i, value)).Where(pair => pair.Value != 0);

    /// <summary>Drops under the kernel's names of /proc/net/xfrm_stat; every name stands in it, zero or not, in the kernel's order.</summary>
    public IReadOnlyList<KeyValuePair<string, long>> ByXfrmStatistic()
    {
        var statistics = Enum.GetValues<XfrmStatistic>();
        var sums = new long[statistics.Length];
        for (int i = 0; i < _drops.Length; i++)
        {
            sums[(int)((DropReason)i).ToXfrmStatistic()] += _drops[i];
        }

        return [.. statistics.Where(statistic => statistic != XfrmStatistic.None).Select(statistic => KeyValuePair.Create(statistic.ToString(), sums[(int)statistic]))];
    }

    /// <summary>What was counted since <paramref name="earlier"/>.</summary>
    public CounterSnapshot Since(CounterSnapshot earlier)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        return new CounterSnapshot(
            [.. _drops.Select((value, i) => value - earlier._drops[i])],
            [.. _traffic.Select((value, i) => value - earlier._traffic[i])]);
    }
}
