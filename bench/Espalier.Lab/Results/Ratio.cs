using System.Text.Json.Serialization;
using Espalier.Lab.Measuring;

namespace Espalier.Lab.Results;

/// <summary>
/// A quantity of a subject over that of another in the same run: the median of the ratios paired by alternation, the interval that holds the true one, and
/// the interval in which that of a repeated run of the same length is expected, both with 95 % probability; null where there are too few samples.
/// </summary>
internal sealed record Ratio(
    string Experiment, string Subject, string Variant, string Metric, string Against, double Value, double[] Samples, double[]? Confidence95, double[]? Prediction95)
{
    /// <summary>The subject that ratios are against.</summary>
    public const string Reference = "libipsec";

    /// <summary>Subject and variant.</summary>
    [JsonIgnore]
    public string Label => Variant.Length == 0 ? Subject : $"{Subject}:{Variant}";

    /// <summary>All ratios to the reference that a file's samples give.</summary>
    public static IEnumerable<Ratio> Of(ResultFile file)
    {
        foreach (var m in file.Measurements.Where(m => m.Axis is null && m.Subject != Reference))
        {
            if (Paired(file, m) is { Length: > 0 } samples)
            {
                var estimate = SampleStatistics.MedianOf(samples, file.Seed);
                yield return new Ratio(
                    m.Experiment, m.Subject, m.Variant, m.Metric, Reference, estimate.Value, samples,
                    estimate is { Low: { } low, High: { } high } ? [low, high] : null,
                    estimate.Prediction is { } prediction ? [prediction.Low, prediction.High] : null);
            }
        }
    }

    /// <summary>A turn of the subject over the reference's turn in the same alternation.</summary>
    public static double[] Paired(ResultFile file, Measurement m) => m.Over(file.Find(m.Experiment, Reference, "", m.Metric));
}
