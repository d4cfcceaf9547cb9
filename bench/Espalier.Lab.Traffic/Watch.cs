using System.Diagnostics;

namespace Espalier.Lab.Traffic;

/// <summary>What a bystander on the host feels: how late it is woken, and how long it takes to start a program, as a login would.</summary>
internal static class Watch
{
    private const double Period = 1e-3;
    private const int TicksPerTenth = 100;

    /// <summary>Watches for <paramref name="seconds"/>.</summary>
    internal static Bystander Run(double seconds)
    {
        var programs = new List<double>();
        double end = Clock.Now + seconds;
        var starter = new Thread(() => StartPrograms(programs, end));
        starter.Start();
        var late = new List<double>();
        double due = Clock.Now + Period;
        while (due < end)
        {
            Clock.SleepUntil(due);
            double now = Clock.Now;
            late.Add((now - due) * 1e6);
            due = Math.Max(due + Period, now); // ticks slept through are one delay, not many
        }

        starter.Join();
        double[] sorted = [.. late.Order()];
        return new Bystander(
            sorted[sorted.Length / 2], sorted[(int)(sorted.Length * 0.99)], sorted[^1], [.. late.Chunk(TicksPerTenth).Select(c => c.Max())], [.. programs]);
    }

    private static void StartPrograms(List<double> milliseconds, double end)
    {
        while (Clock.Now < end)
        {
            double start = Clock.Now;
            using (var process = Process.Start("/bin/true"))
            {
                process.WaitForExit();
            }

            milliseconds.Add((Clock.Now - start) * 1e3);
            Thread.Sleep(100);
        }
    }
}
