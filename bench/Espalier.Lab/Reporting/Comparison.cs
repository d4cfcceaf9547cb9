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

    /// <summary>True if the second run's ratio lies where the first run's samples expect it; null if they are too few.</summary>
    public bool? FirstPredicts => First.Prediction?.Holds(Second.Value);

    /// <summary>The other way round.</summary>
    public bool? SecondPredicts => Second.Prediction?.Holds(First.Value);

    /// <summary>True if each run's ratio lies in the other's 95 % prediction interval. Of runs that differ by chance alone 91 to 94 % do, as each of the two may miss.</summary>
    public bool Predicted => FirstPredicts == true && SecondPredicts == true;
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

        foreach (var a in first.Measurements.Where(m => m.Axis is null && m.Subject != Ratio.Reference))
        {
            if (second.Find(a.Experiment, a.Subject, a.Variant, a.Metric) is { } b && Ratio.Paired(first, a) is { Length: > 0 } one && Ratio.Paired(second, b) is { Length: > 0 } two)
            {
                var pair = new RatioPair(
                    a.Experiment, a.Label, a.Metric, SampleStatistics.MedianOf(one, first.Seed), SampleStatistics.MedianOf(two, second.Seed),
                    SampleStatistics.UnpairedRatio(two, one, first.Seed));
                bool hasIntervals = pair is { First: { Low: not null, Prediction: not null }, Second: { Low: not null, Prediction: not null }, Quotient.Low: not null };
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

    private static double[] Finite(Measurement m) => [.. m.Present.Where(double.IsFinite)];
}
