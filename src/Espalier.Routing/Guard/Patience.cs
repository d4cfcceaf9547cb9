namespace Espalier.Routing.Guard;

/// <summary>
/// How long the control thread may wait for the guard: as long as it has been idle, one second at most in a row. A few changes are always waited for; of many in a row,
/// half of the time is waited.
/// </summary>
internal sealed class Patience(TimeProvider time)
{
    /// <summary>The longest wait, and what gathers while nothing is waited for.</summary>
    internal static readonly TimeSpan Longest = TimeSpan.FromSeconds(1);

    private TimeSpan _left = Longest;
    private long _ended = time.GetTimestamp();
    private long _began;

    /// <summary>Starts to wait, for no longer than <paramref name="longest"/>; false where patience is used up.</summary>
    internal bool TryBegin(out TimeSpan longest)
    {
        _began = time.GetTimestamp();
        var rested = _left + time.GetElapsedTime(_ended, _began);
        _left = rested < Longest ? rested : Longest;
        _ended = _began;
        longest = _left;
        return _left > TimeSpan.Zero;
    }

    /// <summary>The wait is over. Not called where <see cref="TryBegin"/> said no.</summary>
    internal void End()
    {
        _ended = time.GetTimestamp();
        _left -= time.GetElapsedTime(_began, _ended);
    }
}
