using Xunit;

namespace Espalier.Testing;

/// <summary>Waits for what other threads, other programs and the kernel bring about. The limits are there so that nothing hangs; no test asserts on time.</summary>
public static class Wait
{
    private const double Patience = 30;
    private const int LongestPauseMilliseconds = 32;

    /// <summary>Polls until <paramref name="condition"/> holds; false where it does not within <paramref name="seconds"/>.</summary>
    public static bool For(Func<bool> condition, double seconds = Patience)
    {
        ArgumentNullException.ThrowIfNull(condition);
        long end = Environment.TickCount64 + (long)(seconds * 1000);
        for (int pause = 1; !condition(); pause = Math.Min(pause * 2, LongestPauseMilliseconds))
        {
            if (Environment.TickCount64 > end)
            {
                return condition();
            }

            Thread.Sleep(pause);
        }

        return true;
    }

    /// <summary>Reads until <paramref name="read"/> gives what is expected, and returns what it gave last: that, or for the assertion to show what it is instead.</summary>
    public static T ForValue<T>(Func<T> read, T expected) => ForValue(read, value => EqualityComparer<T>.Default.Equals(value, expected));

    /// <summary>The same for a value that satisfies <paramref name="wanted"/>.</summary>
    public static T ForValue<T>(Func<T> read, Func<T, bool> wanted, double seconds = Patience)
    {
        ArgumentNullException.ThrowIfNull(read);
        ArgumentNullException.ThrowIfNull(wanted);
        T last = default!;
        For(() => wanted(last = read()), seconds);
        return last;
    }

    /// <summary>Polls until <paramref name="condition"/> holds; the test fails with <paramref name="what"/> where it does not within <paramref name="seconds"/>.</summary>
    public static void Until(Func<bool> condition, string what, double seconds = Patience) => Until(condition, () => what, seconds);

    /// <summary>The same with a text that is made when it is needed.</summary>
    public static void Until(Func<bool> condition, Func<string> what, double seconds = Patience)
    {
        ArgumentNullException.ThrowIfNull(what);
        if (!For(condition, seconds))
        {
            Assert.Fail($"not within {seconds} s: {what()}");
        }
    }
}
