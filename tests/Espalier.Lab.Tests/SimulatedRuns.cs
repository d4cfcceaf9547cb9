using Espalier.Lab.Measuring;

namespace Espalier.Lab.Tests;

/// <summary>How far the samples of a run's ratios truly spread, in logarithms.</summary>
public enum Spread
{
    /// <summary>All alike.</summary>
    Equal,

    /// <summary>Log-normal: two thirds within a factor of 2.2 of the middle one to either side.</summary>
    LogNormal,

    /// <summary>As the prior supposes it, with two degrees of freedom: some ratios stray ten times as far as the middle one.</summary>
    InverseChiSquared,

    /// <summary>Half of them hardly at all, half a lot: not what the prior supposes.</summary>
    TwoKinds,

    /// <summary>All alike, but for one turn in ten that strays five times as far.</summary>
    BadTurns,

    /// <summary>All alike, and known in steps of 20 %, as searched rates are.</summary>
    Steps,
}

/// <summary>
/// Pairs of runs of one experiment that differ by chance alone: in both each ratio's true spread is the same. Counted is how often the intervals hold the
/// other run's median.
/// </summary>
internal sealed class SimulatedRuns(int seed)
{
    private readonly Random _random = new(seed);
    private readonly List<double> _reaches = [];
    private int _pairs, _single, _mutual;

    /// <summary>Share of intervals that hold the other run's median.</summary>
    public double Single => _single / (2.0 * _pairs);

    /// <summary>Share of pairs whose both intervals do.</summary>
    public double Mutual => _mutual / (double)_pairs;

    /// <summary>How far such a share of the intervals reaches at most, as the logarithm of a factor.</summary>
    public double Reach(double share) => SampleStatistics.Percentile(_reaches, share);

    /// <summary>Simulates; <paramref name="shared"/>: all ratios have a denominator in common, which strays as well. Without a prior each ratio stands for itself.</summary>
    public SimulatedRuns Of(Spread spread, bool shared, int ratios, int samples, int pairs, bool withPrior = true)
    {
        for (int pair = 0; pair < pairs; pair++)
        {
            double[] spreads = [.. Enumerable.Range(0, ratios).Select(_ => Draw(spread))];
            double denominator = shared ? Draw(Spread.LogNormal) : 0;
            var (first, second) = (Run(spread, spreads, denominator, samples), Run(spread, spreads, denominator, samples));
            var (priorOfFirst, priorOfSecond) = withPrior ? (VariancePrior.Of(first), VariancePrior.Of(second)) : (VariancePrior.None, VariancePrior.None);
            for (int i = 0; i < ratios; i++)
            {
                Count(first[i], MutualInterval.Of(first[i], priorOfFirst)!, second[i], MutualInterval.Of(second[i], priorOfSecond)!);
            }
        }

        return this;
    }

    private void Count(double[] one, MutualInterval ofOne, double[] two, MutualInterval ofTwo)
    {
        bool firstHolds = ofOne.Holds(SampleStatistics.Median(two)), secondHolds = ofTwo.Holds(SampleStatistics.Median(one));
        _pairs++;
        _single += (firstHolds ? 1 : 0) + (secondHolds ? 1 : 0);
        _mutual += firstHolds && secondHolds ? 1 : 0;
        _reaches.Add(Math.Log(ofOne.High / ofOne.Low) / 2);
        _reaches.Add(Math.Log(ofTwo.High / ofTwo.Low) / 2);
    }

    private double[][] Run(Spread spread, double[] spreads, double denominator, int samples)
    {
        double[] common = [.. Enumerable.Range(0, samples).Select(_ => denominator * Normal())];
        return [.. spreads.Select(sigma => common.Select(below => Sample(spread, (sigma * Normal()) - below)).ToArray())];
    }

    private double Sample(Spread spread, double strays) => Math.Exp(spread switch
    {
        Spread.BadTurns when _random.Next(10) == 0 => 5 * strays,
        Spread.Steps => Math.Round(strays / Math.Log(1.2)) * Math.Log(1.2),
        _ => strays,
    });

    private double Draw(Spread spread) => spread switch
    {
        Spread.LogNormal => 0.1 * Math.Exp(0.8 * Normal()),
        Spread.InverseChiSquared => 0.1 * Math.Sqrt(2 / (-2 * Math.Log(1 - _random.NextDouble()))),
        Spread.TwoKinds => _random.Next(2) == 0 ? 0.02 : 0.3,
        _ => 0.1,
    };

    private double Normal() => Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());
}
