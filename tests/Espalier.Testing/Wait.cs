using Xunit;

namespace Espalier.Testing;

/// <summary>Waits for what comes about by itself.</summary>
public static class Wait
{
    /// <summary>Polls until <paramref name="condition"/> holds; the test fails with <paramref name="what"/> where it does not within <paramref name="seconds"/>.</summary>
    public static void Until(Func<bool> condition, string what, double seconds = 15) => Until(condition, () => what, seconds);

    /// <summary>The same with a text that is made when it is needed.</summary>
    public static void Until(Func<bool> condition, Func<string> what, double seconds = 15)
    {
        ArgumentNullException.ThrowIfNull(condition);
        ArgumentNullException.ThrowIfNull(what);
        long end = Environment.TickCount64 + (long)(seconds * 1000);
        while (!condition())
        {
            if (Environment.TickCount64 > end)
            {
                Assert.Fail($"not within {seconds} s: {what()}");
            }

            Thread.Sleep(30);
        }
    }
}
