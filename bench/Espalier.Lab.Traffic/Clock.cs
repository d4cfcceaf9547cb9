using System.Diagnostics;
using Espalier.Lab.Traffic.Interop;

namespace Espalier.Lab.Traffic;

/// <summary>CLOCK_MONOTONIC, in seconds and to sleep by: Thread.Sleep knows milliseconds only.</summary>
internal static unsafe class Clock
{
    private const int CLOCK_MONOTONIC = 1, TIMER_ABSTIME = 1;

    /// <summary>Seconds since some moment.</summary>
    internal static double Now => Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;

    /// <summary>Sleeps until <paramref name="moment"/>, a value of <see cref="Now"/>; returns at once if that is past.</summary>
    internal static void SleepUntil(double moment)
    {
        long nanoseconds = (long)(moment * 1e9);
        var until = new timespec { tv_sec = nanoseconds / 1_000_000_000, tv_nsec = nanoseconds % 1_000_000_000 };
        _ = Libc.clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, null); // cut short by a signal it returns early; callers look at Now
    }
}
