using Espalier.Lab.Measuring;

namespace Espalier.Lab.Tests;

public sealed class MutualIntervalTests
{
    // Pairs of runs that differ by chance alone, of the size of the lab's experiments. Of each ratio both intervals hold in 95 % of cases, whatever the true
    // spreads; those whose distribution is the farthest from what the prior supposes in 94 %.
    [Theory]
    [InlineData(Spread.Equal, false, 3)]
    [InlineData(Spread.Equal, true, 3)]
    [InlineData(Spread.LogNormal, false, 3)]
    [InlineData(Spread.LogNormal, true, 3)]
    [InlineData(Spread.LogNormal, false, 5)]
    [InlineData(Spread.InverseChiSquared, false, 3)]
    [InlineData(Spread.InverseChiSquared, true, 3)]
    [InlineData(Spread.InverseChiSquared, false, 5)]
    [InlineData(Spread.TwoKinds, false, 3)]
    [InlineData(Spread.TwoKinds, true, 3)]
    [InlineData(Spread.BadTurns, false, 3)]
    [InlineData(Spread.BadTurns, true, 3)]
    [InlineData(Spread.Steps, false, 3)]
    [InlineData(Spread.Steps, true, 5)]
    public void Of_RunsOfTheSame_HoldEachOtherAsOftenAsSaid(Spread spread, bool shared, int samples)
    {
        var runs = new SimulatedRuns(19).Of(spread, shared, ratios: 36, samples, pairs: 80);
        Assert.InRange(runs.Single, 0.965, 1);
        Assert.InRange(runs.Mutual, 0.937, 1);
    }

    // Ten ratios are enough for that.
    [Theory]
    [InlineData(Spread.Equal)]
    [InlineData(Spread.LogNormal)]
    [InlineData(Spread.InverseChiSquared)]
    [InlineData(Spread.Steps)]
    public void Of_RunsOfTenRatios_HoldEachOtherAsOftenAsSaid(Spread spread) =>
        Assert.InRange(new SimulatedRuns(37).Of(spread, shared: true, ratios: 10, samples: 3, pairs: 200).Mutual, 0.937, 1);

    // That is not bought with width: beside other ratios an interval is narrower than alone, the more so the widest.
    [Theory]
    [InlineData(Spread.Equal)]
    [InlineData(Spread.LogNormal)]
    [InlineData(Spread.InverseChiSquared)]
    [InlineData(Spread.TwoKinds)]
    [InlineData(Spread.BadTurns)]
    [InlineData(Spread.Steps)]
    public void Of_ManyRatios_IsNarrowerThanOfOneAlone(Spread spread)
    {
        var together = new SimulatedRuns(23).Of(spread, shared: true, ratios: 36, samples: 3, pairs: 40);
        var alone = new SimulatedRuns(23).Of(spread, shared: true, ratios: 36, samples: 3, pairs: 40, withPrior: false);
        Assert.InRange(together.Reach(0.5) / alone.Reach(0.5), 0, 0.9);
        Assert.InRange(together.Reach(0.99) / alone.Reach(0.99), 0, 0.7);
    }

    // A ratio without others has its own samples only, and wider intervals.
    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(9)]
    [InlineData(20)]
    public void Of_RatiosAlone_HoldEachOtherAsOftenAsSaid(int samples)
    {
        var runs = new SimulatedRuns(29).Of(Spread.LogNormal, shared: false, ratios: 1, samples, pairs: 1500);
        Assert.InRange(runs.Single, 0.965, 0.99);
        Assert.InRange(runs.Mutual, 0.94, 0.98);
    }

    [Fact]
    public void Of_SamplesAlone_IsStudentsTAroundTheMedianInLogarithms()
    {
        var interval = MutualInterval.Of([1, Math.E, Math.E * Math.E], VariancePrior.None)!; // logarithms 0, 1, 2: their standard deviation is 1
        double reach = 6.2053 * Math.Sqrt(2 * 0.4487);
        Assert.Equal(1 - reach, Math.Log(interval.Low), 3);
        Assert.Equal(1 + reach, Math.Log(interval.High), 3);
    }

    // Two degrees of freedom of its own with a variance of 1, and two of the others with 3: four, with 2.
    [Fact]
    public void Of_SamplesAndPrior_IsOfBothVariances()
    {
        var interval = MutualInterval.Of([1, Math.E, Math.E * Math.E], new VariancePrior(3, 2))!;
        Assert.Equal(1 + (3.4954 * Math.Sqrt(2 * 2 * 0.4487)), Math.Log(interval.High), 3);
    }

    [Fact]
    public void Of_EqualSamples_IsTheirValueUnlessOthersSayMore()
    {
        var alone = MutualInterval.Of([3.1, 3.1, 3.1, 3.1], VariancePrior.None)!;
        Assert.True(alone.Holds(3.1));
        Assert.False(alone.Holds(3.2));
        Assert.True(MutualInterval.Of([3.1, 3.1, 3.1, 3.1], new VariancePrior(0.01, 2))!.Holds(3.2));
    }

    [Theory]
    [InlineData(new[] { 1.0 })]
    [InlineData(new[] { 1.0, 2 })]
    [InlineData(new[] { 1.0, 0, 2 })]
    [InlineData(new[] { 1.0, double.PositiveInfinity, 2, 3, 4, 5, 6 })]
    public void Of_TooFewOrWithoutLogarithm_IsNull(double[] samples) => Assert.Null(MutualInterval.Of(samples, new VariancePrior(0.01, 2)));

    [Fact]
    public void Of_Samples_IsWiderThanTheConfidenceInterval()
    {
        double[] samples = [1, 1.1, 1.2, 1.3, 1.4];
        var (confidence, mutual) = (SampleStatistics.MedianOf(samples), MutualInterval.Of(samples, VariancePrior.None)!);
        Assert.True(mutual.Low < confidence.Low && mutual.High > confidence.High);
    }

    [Theory]
    [InlineData(1, 0.95, 12.706)]
    [InlineData(2, 0.95, 4.3027)]
    [InlineData(2.5, 0.95, 3.5747)]
    [InlineData(9, 0.95, 2.2622)]
    [InlineData(60, 0.95, 2.0003)]
    [InlineData(2, 0.975, 6.2053)]
    [InlineData(3.7, 0.975, 3.6453)]
    [InlineData(200, 0.975, 2.2584)]
    public void StudentT_AnyDegreesOfFreedom_AreThoseOfTheTables(double freedom, double probability, double expected) =>
        Assert.Equal(1, StudentT.Quantile(freedom, probability) / expected, 3);
}
