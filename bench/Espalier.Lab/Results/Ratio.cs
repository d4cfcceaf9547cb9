using System.Text.Json.Serialization;
using Espalier.Lab.Measuring;

namespace Espalier.Lab.Results;

/// <summary>
/// A quantity of a subject over that of another in the same run: the median of the ratios paired by alternation, the interval that holds the true one with
/// 95 % probability, and the one by which two runs of the same length judge each other: each one's ratio lies in the other's with 95 % probability. Null
/// where there are too few samples.
/// </summary>
internal sealed record Ratio(
    string Experiment, string Subject, string Variant, string Metric, string Against, double Value, double[] Samples, double[]? Confidence95, double[]? Mutual95)
{
    /// <summary>The subject that ratios are against.</summary>
    public const string Reference = "libipsec";

    /// <summary>Subject and variant.</summary>
    [JsonIgnore]
    public string Label => Variant.Length == 0 ? Subject : $"{Subject}:{Variant}";

    /// <summary>All ratios to the reference that a file's samples give.</summary>
    public static IEnumerable<Ratio> Of(ResultFile file) => Estimates(file).Select(one => new Ratio(
        one.Of.Experiment, one.Of.Subject, one.Of.Variant, one.Of.Metric, Reference, one.Estimate.Value, one.Samples,
        one.Estimate is { Low: { } low, High: { } high } ? [low, high] : null,
        one.Estimate.Mutual is { } mutual ? [mutual.Low, mutual.High] : null));

    /// <summary>The same with what they are of. How far samples spread is estimated of all ratios of an experiment of a run together.</summary>
    public static IReadOnlyList<(Measurement Of, double[] Samples, Estimate Estimate)> Estimates(ResultFile file)
    {
        (Measurement Of, double[] Samples)[] measured =
            [.. file.Measurements.Where(m => m.Axis is null && m.Subject != Reference).Select(m => (m, Paired(file, m))).Where(one => one.Item2.Length > 0)];
        var priors = measured.GroupBy(one => (one.Of.Run, one.Of.Experiment)).ToDictionary(group => group.Key, group => VariancePrior.Of(group.Select(one => one.Samples)));
        return [.. measured.Select(one => (one.Of, one.Samples, SampleStatistics.MedianOf(one.Samples) with
        {
            Mutual = MutualInterval.Of(one.Samples, priors[(one.Of.Run, one.Of.Experiment)]),
        }))];
    }

    /// <summary>A turn of the subject over the reference's turn in the same alternation.</summary>
    public static double[] Paired(ResultFile file, Measurement m) => m.Over(file.Find(m.Experiment, Reference, "", m.Metric));
}
