namespace Espalier.Routing.Guard;

/// <summary>
/// What the guard has dropped since the start: the counters of its table, and of those that were there before it. It never goes back: where the counters cannot be
/// read, what was read last counts. One thread replaces the table, any thread reads.
/// </summary>
internal sealed class GuardTally(Func<GuardCounters?> read)
{
    private readonly Lock _gate = new();
    private GuardCounters _before;
    private GuardCounters _current;

    // How many there have been. Before the first of ours there may be one that a crash has left.
    private int _tables;

    /// <summary>Reads the table's counters, and adds those before it.</summary>
    internal GuardCounters Read()
    {
        while (true)
        {
            int table = Volatile.Read(ref _tables);
            var counters = table == 0 ? null : read();
            lock (_gate)
            {
                // Else they may be those of the table before, which are counted already.
                if (table == _tables)
                {
                    _current = Larger(_current, counters);
                    return Add(_before, _current);
                }
            }
        }
    }

    /// <summary>Calls <paramref name="replace"/>, which puts a table with counters of zero in the place of the one before, if any, or says why it could not; returns that.</summary>
    internal string? Replace(Func<string?> replace)
    {
        var last = _tables == 0 ? null : read();
        string? refused = replace();
        if (refused is null)
        {
            lock (_gate)
            {
                _before = Add(_before, Larger(_current, last));
                _current = default;
                _tables++;
            }
        }

        return refused;
    }

    private static GuardCounters Add(GuardCounters left, GuardCounters right) =>
        new(left.Inbound + right.Inbound, left.Forwarded + right.Forwarded, left.Outbound + right.Outbound);

    private static GuardCounters Larger(GuardCounters left, GuardCounters? right) => right is not { } other
        ? left : new(Math.Max(left.Inbound, other.Inbound), Math.Max(left.Forwarded, other.Forwarded), Math.Max(left.Outbound, other.Outbound));
}
