using Espalier.Lab.Measuring;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>Round trips, idle and under a saturating TCP stream.</summary>
internal sealed class LatencyExperiment : Experiment
{
    private const int Fewest = 1000;
    private const double WarmUp = 0.5;
    private static readonly (string Name, double Share)[] _percentiles = [("median", 0.5), ("90 %", 0.9), ("99 %", 0.99), ("99.9 %", 0.999), ("worst", 1)];

    /// <inheritdoc/>
    public override string Name => "latency";

    /// <inheritdoc/>
    public override string Claim => "C6";

    /// <inheritdoc/>
    public override string Sentence => "It is slow.";

    /// <inheritdoc/>
    public override string Description => "round trip of 64 bytes, at least 1,000 on a fixed schedule, idle and beside a saturating TCP stream; lost ones count as infinite";

    /// <inheritdoc/>
    public override Variants Tells => Variants.Main;

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) => (2 * Length(settings)) + 2;

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        double length = Length(trial.Settings), interval = length / Fewest;
        Record(trial, "idle", interval, await trial.Loads.ProbeAsync(Fewest, interval).ConfigureAwait(false));

        var stream = trial.Loads.TcpAsync(1, bothWays: false, WarmUp, length + 0.5);
        await Task.Delay(TimeSpan.FromSeconds(WarmUp), cancellation).ConfigureAwait(false);
        double[] loaded = await trial.Loads.ProbeAsync(Fewest, interval).ConfigureAwait(false);
        var tcp = (await stream.ConfigureAwait(false))[0];
        Record(trial, "under TCP", interval, loaded);
        trial.Record("TCP beside the probes", "Gb/s", tcp.Bytes * 8 / tcp.Seconds / 1e9);
    }

    private static void Record(Trial trial, string load, double interval, double[] times)
    {
        int lost = times.Count(double.IsPositiveInfinity);
        foreach (var (name, share) in _percentiles)
        {
            trial.Record($"{load}, {name}", "µs", SampleStatistics.Percentile(times, share), ("probes", times.Length), ("intervalSeconds", interval), ("lost", lost));
        }

        double[] shares = [.. Enumerable.Range(1, 99).Select(i => i / 100.0), 0.995, 0.999, 1];
        trial.RecordSeries(
            $"{load}, distribution", "µs", new Axis("share of probes", "", shares), [.. shares.Select(share => SampleStatistics.Percentile(times, share))], ("lost", lost));
    }

    private static double Length(LabSettings settings) => Math.Max(1, settings.Seconds);
}
