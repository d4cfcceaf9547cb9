using System.Globalization;

namespace Espalier.Lab.Measuring;

/// <summary>Processor time: of the machine from /proc/stat, of a process from /proc/PID/stat.</summary>
internal static class ProcessorTime
{
    /// <summary>Ticks a second of both files (USER_HZ, the same on every Linux of a common architecture).</summary>
    public const double TicksPerSecond = 100;

    /// <summary>Busy ticks a second of the machine as it is now, measured over <paramref name="seconds"/>.</summary>
    public static async Task<double> BaselineAsync(double seconds, CancellationToken cancellation)
    {
        var before = Traffic.Processor.Read();
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        await Task.Delay(TimeSpan.FromSeconds(seconds), cancellation).ConfigureAwait(false);
        return (Traffic.Processor.Read().Busy - before.Busy) / System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>User and system ticks of a process; null if it has ended.</summary>
    public static long? OfProcess(int id)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{id}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' '); // from the third field, state, on
            return long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            return null;
        }
    }

    /// <summary>Waits until processes rest, so that what one load left in their queues does not meet the next; false if they do not within the limit.</summary>
    public static async Task<bool> WaitForRestAsync(Func<IEnumerable<int>> processes, TimeSpan limit, CancellationToken cancellation)
    {
        var clock = System.Diagnostics.Stopwatch.StartNew();
        while (clock.Elapsed < limit)
        {
            long before = processes().Sum(id => OfProcess(id) ?? 0);
            await Task.Delay(100, cancellation).ConfigureAwait(false);
            if (processes().Sum(id => OfProcess(id) ?? 0) - before <= 1)
            {
                return true;
            }
        }

        return false;
    }
}
