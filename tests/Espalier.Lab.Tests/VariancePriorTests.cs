using Espalier.Lab.Measuring;
using Espalier.Lab.Reporting;
using Espalier.Lab.Results;

namespace Espalier.Lab.Tests;

public sealed class VariancePriorTests
{
    private readonly Random _random = new(31);

    // True variances as the prior supposes them: their two parameters come out of the samples again.
    [Theory]
    [InlineData(2, 3)]
    [InlineData(2, 5)]
    [InlineData(6, 3)]
    public void Of_VariancesAsSupposed_FindsTheirParameters(int freedom, int samples)
    {
        var prior = VariancePrior.Of([.. Enumerable.Range(0, 4000).Select(_ => Draw(samples, Math.Sqrt(0.01 * freedom / ChiSquared(freedom))))]);
        Assert.InRange(prior.Freedom, freedom * 0.8, freedom * 1.25);
        Assert.InRange(prior.Variance, 0.009, 0.011);
    }

    [Fact]
    public void Of_VariancesAllAlike_CountsForAsMuchAsAnything()
    {
        var prior = VariancePrior.Of([.. Enumerable.Range(0, 4000).Select(_ => Draw(3, 0.1))]);
        Assert.InRange(prior.Freedom, 20, double.PositiveInfinity);
        Assert.InRange(prior.Variance, 0.009, 0.011);
    }

    // Searched rates lie on a grid: samples that are alike, or but for rounding, say nothing of how far they would stray.
    [Fact]
    public void Of_SamplesAlike_LeavesThemOut()
    {
        double[][] known = [.. Enumerable.Range(0, 30).Select(_ => Draw(3, 0.1))];
        Assert.Equal(VariancePrior.Of(known), VariancePrior.Of([.. known, [2.99, 2.99, 2.99], [1.2, 1.2 * 1.00001, 1.2]]));
    }

    [Fact]
    public void Of_SamplesWithoutLogarithmOrSingle_LeavesThemOut()
    {
        double[][] known = [.. Enumerable.Range(0, 30).Select(_ => Draw(3, 0.1))];
        Assert.Equal(VariancePrior.Of(known), VariancePrior.Of([.. known, [7], [0, 1, 2], [1, double.PositiveInfinity]]));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(9)]
    public void Of_FewRatios_IsNone(int ratios) => Assert.Equal(VariancePrior.None, VariancePrior.Of([.. Enumerable.Range(0, ratios).Select(_ => Draw(3, 0.1))]));

    [Fact]
    public void Of_AllAlike_IsNone() => Assert.Equal(VariancePrior.None, VariancePrior.Of([.. Enumerable.Repeat<double[]>([1.2, 1.2, 1.2], 30), Draw(3, 0.1)]));

    [Theory]
    [InlineData(0, 2, 1, 2)] // nothing known beside
    [InlineData(1, 2, 5.0 / 3, 3)]
    [InlineData(2, 2, 2, 4)]
    [InlineData(double.PositiveInfinity, 2, 2, 4)] // for no more than the samples
    [InlineData(2, 8, 1.4, 10)]
    public void Moderate_Variance_IsTheMeanByDegreesOfFreedom(double prior, int freedom, double variance, double together)
    {
        var moderated = new VariancePrior(3, prior).Moderate(1, freedom);
        Assert.Equal(variance, moderated.Variance, 9);
        Assert.Equal(together, moderated.Freedom);
    }

    // A ratio whose samples lie close together by chance, among others that do not; those of another experiment, or of another run, have no say.
    [Fact]
    public void RatioEstimates_OneCloseTogether_GoesByTheOthersOfItsExperiment()
    {
        double[] close = [2, 2.001, 2.002];
        double Reach(ResultFile file) => Ratio.Estimates(file).Single(one => one.Of.Metric == "close").Estimate.Mutual is { } mutual ? mutual.High / mutual.Low : 0;
        var file = Samples.Empty();
        AddRatio(file, "latency", "close", close);
        double alone = Reach(file);
        Assert.InRange(alone, 1, 1.02);
        AddNoise(file, "memory");
        Assert.Equal(alone, Reach(file));
        var other = Samples.Empty();
        AddNoise(other, "latency");
        Assert.Equal(alone, Reach(Report.Merge([file, other])));
        AddNoise(file, "latency");
        Assert.InRange(Reach(file), 1.2, 4);
    }

    [Theory]
    [InlineData(0.5, -1.9635100260, 4.9348022005)]
    [InlineData(1, -0.5772156649, 1.6449340668)]
    [InlineData(10, 2.2517525891, 0.1051663357)]
    public void Polygamma_KnownArguments_HasTheirValues(double x, double digamma, double trigamma)
    {
        Assert.Equal(digamma, Polygamma.Digamma(x), 8);
        Assert.Equal(trigamma, Polygamma.Trigamma(x), 8);
        Assert.Equal(x, Polygamma.InverseTrigamma(trigamma), 6);
    }

    private void AddNoise(ResultFile file, string experiment)
    {
        for (int i = 0; i < 30; i++)
        {
            AddRatio(file, experiment, $"noise {i}", Draw(3, 0.1));
        }
    }

    private static void AddRatio(ResultFile file, string experiment, string metric, double[] ratios)
    {
        for (int i = 0; i < ratios.Length; i++)
        {
            Samples.Add(file, experiment, "libipsec", "", metric, "µs", i, 1);
            Samples.Add(file, experiment, "espalier", "ipsec-mb", metric, "µs", i, ratios[i]);
        }
    }

    private double[] Draw(int samples, double spread) => [.. Enumerable.Range(0, samples).Select(_ => Math.Exp(spread * Normal()))];

    private double ChiSquared(int freedom) => Enumerable.Range(0, freedom).Sum(_ => Math.Pow(Normal(), 2));

    private double Normal() => Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());
}
