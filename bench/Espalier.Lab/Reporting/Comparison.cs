using Espalier.Lab.Measuring;
using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>A quantity of two runs: the second over the first.</summary>
internal sealed record Change(string Experiment, string Label, string Metric, string Unit, double First, double Second, Estimate Ratio)
{
    /// <summary>True if the interval of the ratio leaves out 1.</summary>
    public bool BeyondNoise => Ratio.Low is not null && !Ratio.Covers(1);
}

/// <summary>A ratio of two subjects, in two runs; the second run's over the first's.</summary>
internal sealed record RatioPair(string Experiment, string Label, string Metric, Estimate First, Estimate Second, Estimate Quotient)
{
    /// <summary>
    /// True if the interval of the quotient holds 1: what differs is within the noise of both runs. Of runs that differ by chance alone 95 % of the ratios do.
    /// </summary>
    public bool Agree => Quotient.Covers(1);

    /// <summary>
    /// True if each run's ratio lies in the other's 95 % confidence interval. That is stricter: such an interval is made to hold the true ratio, not another run's,
    /// which strays from it as well. Of runs that differ by chance alone four of five do with three samples, three of four with five, two of three with nine.
    /// </summary>
    public bool Within => First.Covers(Second.Value) && Second.Covers(First.Value);

    /// <summary>True if the second run's ratio lies in the first run's mutual interval; null if that has none. Of runs that differ by chance alone 97.5 % do.</summary>
    public bool? FirstHolds => First.Mutual?.Holds(Second.Value);

    /// <summary>The other way round.</summary>
    public bool? SecondHolds => Second.Mutual?.Holds(First.Value);

    /// <summary>True if each run's ratio lies in the other's mutual interval. Of runs that differ by chance alone 95 % do.</summary>
    public bool Mutual => FirstHolds == true && SecondHolds == true;
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

            double[] before = a.Present, after = b.Present;
            if (before.Length > 0 && after.Length > 0 && SampleStatistics.Median(before) != 0 && !double.IsNaN(SampleStatistics.Median(after) / SampleStatistics.Median(before)))
            {
                Changes.Add(new Change(
                    a.Experiment, a.Label, a.Metric, a.Unit, SampleStatistics.Median(before), SampleStatistics.Median(after),
                    SampleStatistics.UnpairedRatio(after, before, first.Seed)));
            }
        }

        var others = Ratio.Estimates(second).ToDictionary(one => Key(one.Of));
        foreach (var (of, one, estimate) in Ratio.Estimates(first))
        {
            if (others.TryGetValue(Key(of), out var other))
            {
                var pair = new RatioPair(of.Experiment, of.Label, of.Metric, estimate, other.Estimate, SampleStatistics.UnpairedRatio(other.Samples, one, first.Seed));
                bool hasIntervals = pair is { First: { Low: not null, Mutual: not null }, Second: { Low: not null, Mutual: not null }, Quotient.Low: not null };
                (hasIntervals ? Ratios : RatiosWithoutInterval).Add(pair);
            }
        }
    }

    /// <summary>All quantities that both runs have.</summary>
    public List<Change> Changes { get; } = [];

    /// <summary>All ratios to the reference that both runs have, with intervals.</summary>
    public List<RatioPair> Ratios { get; } = [];

    /// <summary>Those of which there are too few samples for one.</summary>
    public List<RatioPair> RatiosWithoutInterval { get; } = [];

    private static (string, string, string) Key(Measurement m) => (m.Experiment, m.Label, m.Metric);
}
