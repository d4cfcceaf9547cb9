namespace Espalier.Routing;

/// <summary>
/// Tells that another program removed what is ours: the first time at once, then at most once in <see cref="Interval"/> with the sum of what came meanwhile. Owned by one thread.
/// </summary>
internal sealed class RemovalReport(TimeProvider time, Action<RemovalReport.Removals> tell)
{
    /// <summary>The shortest time between two lines.</summary>
    internal static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private Removals _held;
    private long? _told;

    /// <summary>How long until what is held is to be told; null where nothing is.</summary>
    internal TimeSpan? UntilDue => _held.Times == 0 ? null
        : _told is not { } told || time.GetElapsedTime(told) >= Interval ? TimeSpan.Zero
        : Interval - time.GetElapsedTime(told);

    /// <summary>
    /// How long to rest after a round of putting back: it takes a tenth of its thread's time at most, however fast another program removes; half of it where nothing else
    /// holds packets in clear meanwhile.
    /// </summary>
    internal static TimeSpan RestAfter(TimeSpan round, bool isCovered) => isCovered ? round * 9 : round;

    /// <summary>So many rules and routes were put back; none where it was the guard.</summary>
    internal void Add(int rules = 0, int routes = 0)
    {
        _held = new Removals(_held.Times + 1, _held.Rules + rules, _held.Routes + routes);
        TellDue();
    }

    /// <summary>Tells what is due.</summary>
    internal void TellDue()
    {
        if (UntilDue == TimeSpan.Zero)
        {
            var due = _held;
            _held = default;
            _told = time.GetTimestamp();
            tell(due);
        }
    }

    /// <summary>What was put back since it was last told, and how often.</summary>
    internal readonly record struct Removals(int Times, int Rules, int Routes);
}
