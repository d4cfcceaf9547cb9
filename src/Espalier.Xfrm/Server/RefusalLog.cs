namespace Espalier.Xfrm.Server;

/// <summary>
/// Logs why requests, or clients, were refused. A daemon asks again and again, for several things in turn, and everybody may connect: each reason is said once an
/// hour, and <see cref="MaximumReasons"/> of them at most. Control thread only.
/// </summary>
internal sealed class RefusalLog(Action<string> log, TimeProvider clock)
{
    /// <summary>Reasons that are said in an hour.</summary>
    public const int MaximumReasons = 32;

    private static readonly TimeSpan s_period = TimeSpan.FromHours(1);
    private readonly HashSet<string> _said = new(StringComparer.Ordinal);
    private long _started = clock.GetTimestamp();

    /// <summary>Logs the reason, unless it or too many others were logged not long ago.</summary>
    public void Say(string reason)
    {
        if (clock.GetElapsedTime(_started) >= s_period)
        {
            _said.Clear();
            _started = clock.GetTimestamp();
        }

        if (_said.Count < MaximumReasons && _said.Add(reason))
        {
            log(reason);
        }
    }
}
