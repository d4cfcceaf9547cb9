using System.Diagnostics;
using System.Globalization;
using Espalier.Lab.Measuring;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>What a bystander on the host feels while a subject is flooded without limits.</summary>
internal sealed class LockupExperiment : Experiment
{
    private const string Pressure = "/proc/pressure/memory";

    /// <inheritdoc/>
    public override string Name => "lockup";

    /// <inheritdoc/>
    public override string Claim => "C4";

    /// <inheritdoc/>
    public override string Sentence => "It locks up the whole host.";

    /// <inheritdoc/>
    public override string Description => "during a flood without limits: how late a thread with a period of 1 ms is woken, how long a program takes to start, how long a key pressed in a remote shell takes to come back, free memory, memory pressure";

    /// <inheritdoc/>
    public override int Repeat(LabSettings settings) => settings.Full ? 9 : 1;

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) => (2 * settings.Seconds) + 2;

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        double seconds = trial.Settings.Seconds;
        Record(trial, "idle", await Loads.WatchAsync(seconds, cancellation).ConfigureAwait(false));

        await using var memory = new ResidentMemory(trial.Processes, ResidentMemory.Limit, trial.Subject.Kill);
        var free = new List<double>();
        var moments = new List<double>();
        var clock = Stopwatch.StartNew();
        long stalls = Stalls(), pressure = PressureMicroseconds() ?? 0;
        var flood = trial.Loads.UdpAsync(1300, 0, seconds + 0.3);
        var watch = Loads.WatchAsync(seconds, cancellation);
        while (!flood.IsCompleted)
        {
            moments.Add(clock.Elapsed.TotalSeconds);
            free.Add(Available());
            await Task.Delay(100, cancellation).ConfigureAwait(false);
        }

        await flood.ConfigureAwait(false);
        var felt = await watch.ConfigureAwait(false);
        Record(trial, "flood", felt);
        trial.Record("flood, free memory lost", "MB", Math.Max(0, free[0] - free.Min()) / 1e6, ("stoppedAtLimit", memory.StoppedAtLimit), ("limitBytes", ResidentMemory.Limit));
        trial.Record("flood, allocations that stalled", "1", Stalls() - stalls);
        if (PressureMicroseconds() is { } now)
        {
            trial.Record("flood, memory pressure", "ms/s", (now - pressure) / 1e3 / seconds);
        }

        trial.RecordSeries("flood, worst delay", "µs", new Axis("time", "s", [.. felt.WorstByTenth.Select((_, i) => i / 10.0)]), felt.WorstByTenth);
        trial.RecordSeries("flood, free memory", "MB", new Axis("time", "s", [.. moments]), [.. free.Select(b => b / 1e6)]);
        if (memory.StoppedAtLimit)
        {
            trial.Fail($"stopped at {ResidentMemory.Limit / 1e9:0.0} GB of resident memory");
        }
    }

    private static void Record(Trial trial, string load, Traffic.Bystander felt)
    {
        trial.Record($"{load}, delay median", "µs", felt.P50);
        trial.Record($"{load}, delay 99 %", "µs", felt.P99);
        trial.Record($"{load}, delay worst", "µs", felt.Maximum);
        trial.Record($"{load}, program start", "ms", SampleStatistics.Median(felt.ProgramMilliseconds), ("worst", felt.ProgramMilliseconds.Max()));
        foreach (var (name, share) in ((string, double)[])[("median", 0.5), ("99 %", 0.99), ("worst", 1)])
        {
            trial.Record($"{load}, key round trip {name}", "µs", SampleStatistics.Percentile(felt.RoundTripMicroseconds, share), ("keys", felt.RoundTripMicroseconds.Length), ("over", "TCP on loopback, a byte each 10 ms"));
        }
    }

    private static double Available() => Field("/proc/meminfo", "MemAvailable:") * 1024.0;

    private static long Stalls() => File.ReadLines("/proc/vmstat").Where(line => line.StartsWith("allocstall", StringComparison.Ordinal)).Sum(line => long.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));

    private static long? PressureMicroseconds() => !File.Exists(Pressure)
        ? null
        : long.Parse(File.ReadLines(Pressure).First().Split("total=")[1], CultureInfo.InvariantCulture);

    private static long Field(string file, string name) =>
        long.Parse(File.ReadLines(file).First(line => line.StartsWith(name, StringComparison.Ordinal))[name.Length..].Replace("kB", "", StringComparison.Ordinal).Trim(), CultureInfo.InvariantCulture);
}
