namespace Espalier.Lab.Measuring;

/// <summary>A value with the interval that holds the true one with 95 % probability; no interval where there were fewer than three samples.</summary>
internal sealed record Estimate(double Value, double? Low, double? High, int Samples)
{
    /// <summary>By what this ratio and that of another run are judged; null where that is not known.</summary>
    public MutualInterval? Mutual { get; init; }

    /// <summary>True if <paramref name="value"/> is inside the interval, or nothing can be said; what is computed of equal samples may differ in its last digit.</summary>
    public bool Covers(double value) => Low is null || High is null || (value >= Low * (1 - 1e-9) && value <= High * (1 + 1e-9));
}

/// <summary>
/// Medians and percentiles, with intervals of 95 %. Of six samples or more the interval of a median is between two of them, whose ranks the binomial distribution gives:
/// it holds the true median in at least 95 % of cases however the samples are spread. The range of five or fewer holds it less often, of three in three of four cases;
/// there Student's t of the logarithms takes its place, which supposes that factors are spread evenly to both sides.
/// </summary>
internal static class SampleStatistics
{
    private const int Resamples = 10_000, FewestForInterval = 3, FewestForRanks = 6;

    // Of products such as 0.07 · 100, which are a last digit above the whole number that they are.
    private const double LastDigits = 1e-9;

    /// <summary>The middle value; of two, their mean.</summary>
    public static double Median(IReadOnlyCollection<double> values)
    {
        double[] sorted = [.. values.Order()];
        return SortedMedian(sorted);
    }

    /// <summary>The smallest value that at least <paramref name="share"/> of all do not exceed (nearest rank).</summary>
    public static double Percentile(IReadOnlyCollection<double> values, double share)
    {
        ArgumentOutOfRangeException.ThrowIfZero(values.Count);
        double[] sorted = [.. values.Order()];
        return sorted[Math.Clamp((int)Math.Ceiling((share * sorted.Length) - LastDigits) - 1, 0, sorted.Length - 1)];
    }

    /// <summary>Median of ratios paired by alternation; null if there is none.</summary>
    public static Estimate? RatioOf(double[] paired) => paired.Length > 0 ? MedianOf(paired) : null;

    /// <summary>
    /// a[i] / b[i] over the alternations in which both were measured. A turn that lost more than a percentile leaves room for is infinite, and so is its ratio: without it
    /// the median would be that of the better turns. Only 0 over 0 and infinite over infinite are no ratio.
    /// </summary>
    public static double[] PairedRatios(IReadOnlyList<double?> a, IReadOnlyList<double?> b) =>
        [.. a.Zip(b).Where(pair => pair is ({ }, { })).Select(pair => pair.First!.Value / pair.Second!.Value).Where(ratio => !double.IsNaN(ratio))];

    /// <summary>Median of a over median of b of two runs whose samples do not belong together in pairs.</summary>
    public static Estimate UnpairedRatio(IReadOnlyList<double> a, IReadOnlyList<double> b, int seed)
    {
        double value = Median([.. a]) / Median([.. b]);
        if (a.Count < FewestForInterval || b.Count < FewestForInterval)
        {
            return new Estimate(value, null, null, Math.Min(a.Count, b.Count));
        }

        int fewest = Math.Min(a.Count, b.Count);
        if (fewest < FewestForRanks)
        {
            var (up, down) = (Logarithms(a), Logarithms(b));
            return Student(value, up.Mean - down.Mean, double.Hypot(up.Error, down.Error), Welch(up.Error, a.Count, down.Error, b.Count), fewest);
        }

        var random = new Random(seed);
        return Interval(value, fewest, () => Resample(a, random) / Resample(b, random));
    }

    /// <summary>Median of the samples, with its interval.</summary>
    public static Estimate MedianOf(IReadOnlyList<double> samples)
    {
        double value = Median([.. samples]);
        if (samples.Count < FewestForInterval)
        {
            return new Estimate(value, null, null, samples.Count);
        }

        if (samples.Count < FewestForRanks)
        {
            var logarithms = Logarithms(samples);
            return Student(value, logarithms.Mean, logarithms.Error, samples.Count - 1, samples.Count);
        }

        double[] sorted = [.. samples.Order()];
        int outside = Outside(sorted.Length);
        return new Estimate(value, sorted[outside], sorted[^(outside + 1)], sorted.Length);
    }

    // How many samples at each end the interval of their median leaves out: as many as all of which lie on one side of the true median in no more than 2.5 % of cases.
    private static int Outside(int samples)
    {
        double exactly = Math.Pow(0.5, samples), atMost = exactly;
        int outside = 0;
        while (atMost + (exactly * (samples - outside) / (outside + 1)) <= 0.025)
        {
            exactly *= (double)(samples - outside) / (outside + 1);
            atMost += exactly;
            outside++;
        }

        return outside;
    }

    // Without spread the interval is the value itself; a sample that is 0 or infinite has no logarithm, and the interval is not known.
    private static Estimate Student(double value, double mean, double error, int freedom, int samples)
    {
        if (error == 0)
        {
            return new Estimate(value, value, value, samples);
        }

        double reach = StudentT.Quantile(freedom) * error;
        return double.IsFinite(reach)
            ? new Estimate(value, Math.Min(value, Math.Exp(mean - reach)), Math.Max(value, Math.Exp(mean + reach)), samples)
            : new Estimate(value, null, null, samples);
    }

    // Degrees of freedom of a difference of two means whose errors differ (Welch and Satterthwaite), rounded down.
    private static int Welch(double errorA, int samplesA, double errorB, int samplesB)
    {
        double a = errorA * errorA, b = errorB * errorB;
        double freedom = (a + b) * (a + b) / ((a * a / (samplesA - 1)) + (b * b / (samplesB - 1)));
        return double.IsFinite(freedom) ? (int)freedom : Math.Min(samplesA, samplesB) - 1;
    }

    private static (double Mean, double Error) Logarithms(IReadOnlyList<double> samples)
    {
        double[] logarithms = [.. samples.Select(sample => Math.Log(sample))];
        double mean = logarithms.Average();
        return (mean, Math.Sqrt(logarithms.Sum(l => (l - mean) * (l - mean)) / (samples.Count - 1) / samples.Count));
    }

    private static Estimate Interval(double value, int samples, Func<double> draw)
    {
        double[] medians = new double[Resamples];
        for (int i = 0; i < Resamples; i++)
        {
            medians[i] = draw();
        }

        if (medians.Any(double.IsNaN))
        {
            return new Estimate(value, null, null, samples); // infinite over infinite
        }

        Array.Sort(medians);
        return new Estimate(value, medians[(int)(Resamples * 0.025)], medians[(int)(Resamples * 0.975)], samples);
    }

    private static double Resample(IReadOnlyList<double> samples, Random random)
    {
        Span<double> drawn = stackalloc double[samples.Count];
        for (int i = 0; i < drawn.Length; i++)
        {
            drawn[i] = samples[random.Next(samples.Count)];
        }

        drawn.Sort();
        return SortedMedian(drawn);
    }

    private static double SortedMedian(ReadOnlySpan<double> sorted)
    {
        ArgumentOutOfRangeException.ThrowIfZero(sorted.Length);
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
