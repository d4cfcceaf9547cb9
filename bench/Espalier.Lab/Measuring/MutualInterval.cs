namespace Espalier.Lab.Measuring;

/// <summary>
/// By what two runs judge each other: of two runs of the same length that differ by chance alone, each one's median lies in the other's interval with a
/// probability of 95 %. A confidence interval is made to hold the true value; the median of another run strays from that as well, so this one is wider.
/// </summary>
internal sealed record MutualInterval(double Low, double High)
{
    private const int Fewest = 3;

    // Each may miss in 2.5 % of cases, so that at least one of two misses in no more than 5 % (Bonferroni).
    private const double ProbabilityOfEach = 0.975;

    // Variance of the median of so many samples of a normal distribution whose variance is 1.
    private static readonly double[] _medianVariance = [double.NaN, 1, 0.5, 0.4487, 0.2982, 0.2868, 0.2147, 0.2104, 0.1682, 0.1661];

    /// <summary>True if <paramref name="value"/> is inside; what is computed of equal samples may differ in its last digit.</summary>
    public bool Holds(double value) => value >= Low * (1 - 1e-9) && value <= High * (1 + 1e-9);

    /// <summary>
    /// Around the median, in logarithms, by Student's t times the standard error of a median times the root of 2, for the second run strays as far as the first.
    /// The variance is that of the samples and of the other ratios together. Null of fewer than three samples, or where one is 0 or infinite and has no logarithm.
    /// </summary>
    public static MutualInterval? Of(IReadOnlyList<double> samples, VariancePrior prior)
    {
        if (samples.Count < Fewest || !VariancePrior.HasVariance(samples))
        {
            return null;
        }

        var (variance, freedom) = prior.Moderate(VariancePrior.VarianceOf(samples), samples.Count - 1);
        double median = SampleStatistics.Median(samples.ToArray());
        double factor = Math.Exp(StudentT.Quantile(freedom, ProbabilityOfEach) * Math.Sqrt(2 * variance * MedianVariance(samples.Count)));
        return new MutualInterval(median / factor, median * factor);
    }

    // Of many samples the variance of a median is that of their mean times pi/2.
    private static double MedianVariance(int samples) => samples < _medianVariance.Length ? _medianVariance[samples] : Math.PI / ((2 * samples) + Math.PI - 2);
}
