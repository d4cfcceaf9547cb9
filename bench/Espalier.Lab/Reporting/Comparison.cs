using Espalier.Lab.Measuring;
using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>A quantity of two runs: the second over the first.</summary>
internal sealed record Change(string Experiment, string Label, string Metric, string Unit, double First, double Second, Estimate Ratio)
{
    /// <summary>True if the interval of the ratio leaves out 1.</summary>
    public bool BeyondNoise => Ratio.Low is not null && !Ratio.Covers(1);
}

/// <summary>A ratio of two subjects, in two runs.</summary>
internal sealed record RatioPair(string Experiment, string Label, string Metric, Estimate First, Estimate Second)
{
    /// <summary>True if each run's ratio lies in the other's interval.</summary>
    public bool Agree => First.Covers(Second.Value) && Second.Covers(First.Value);
}

/// <summary>What two runs of the same experiments say of each other.</summary>
internal sealed class Comparison
{
    /// <summary>Compares <paramref name="second"/> with <paramref name="first"/>.</summary>
    public Comparison(ResultFile first, ResultFile second)
    {
        foreach (var a in first.Measurements.Where(m => m.Axis is null))
        {
            if (second.Find(a.Experiment, a.Subject, a.Variant, a.Metric) is not { } b)
            {
                continue;
            }

            double[] before = Finite(a), after = Finite(b);
            if (before.Length > 0 && after.Length > 0 && SampleStatistics.Median(before) != 0)
            {
                Changes.Add(new Change(
                    a.Experiment, a.Label, a.Metric, a.Unit, SampleStatistics.Median(before), SampleStatistics.Median(after),
                    SampleStatistics.UnpairedRatio(after, before, first.Seed)));
            }
        }

        foreach (var a in first.Measurements.Where(m => m.Axis is null && m.Subject != Reference))
        {
            if (Ratio(first, a) is { } one && second.Find(a.Experiment, a.Subject, a.Variant, a.Metric) is { } b && Ratio(second, b) is { } two)
            {
                Ratios.Add(new RatioPair(a.Experiment, a.Label, a.Metric, one, two));
            }
        }
    }

    /// <summary>The subject that ratios are against.</summary>
    public const string Reference = "libipsec";

    /// <summary>All quantities that both runs have.</summary>
    public List<Change> Changes { get; } = [];

    /// <summary>All ratios to the reference that both runs have, with intervals.</summary>
    public List<RatioPair> Ratios { get; } = [];

    private static double[] Finite(Measurement m) => [.. m.Present.Where(double.IsFinite)];

    private static Estimate? Ratio(ResultFile file, Measurement m)
    {
        var other = file.Measurements.Find(r => r.Subject == Reference && r.Experiment == m.Experiment && r.Metric == m.Metric);
        return other is null ? null : SampleStatistics.PairedRatio(m.Samples, other.Samples, file.Seed) is { Low: not null } ratio ? ratio : null;
    }
}
