using Espalier.Lab.Measuring;
using Espalier.Lab.Reporting;

namespace Espalier.Lab.Tests;

public sealed class PredictionIntervalTests
{
    private const int Runs = 1000;

    // Of runs that differ by chance alone, the next one's median is where this one's samples expect it in 95 % of cases, whatever the number of samples.
    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(9)]
    [InlineData(20)]
    public void Of_ManyRuns_HoldsTheNextMedian(int samples)
    {
        var random = new Random(19);
        int held = Enumerable.Range(0, Runs).Count(_ => PredictionInterval.Of(Draw(random, samples))!.Holds(SampleStatistics.Median(Draw(random, samples))));
        Assert.InRange(held, 935, 985);
    }

    // Both of two runs: each of the two predictions may miss. And confidence intervals, which promise something else, hold another run's median far less often.
    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public void RatioPair_RunsOfTheSame_PredictEachOtherAsOftenAsSaid(int samples)
    {
        var random = new Random(23);
        RatioPair[] pairs = [.. Enumerable.Range(0, Runs).Select(i =>
        {
            double[] one = Draw(random, samples), two = Draw(random, samples);
            return new RatioPair("", "", "", SampleStatistics.MedianOf(one, i), SampleStatistics.MedianOf(two, i), SampleStatistics.UnpairedRatio(two, one, i));
        })];
        Assert.InRange(pairs.Count(pair => pair.Predicted), 885, 945);
        Assert.InRange(pairs.Count(pair => pair.Within), 700, 850);
    }

    [Fact]
    public void Of_Samples_IsStudentsTAroundTheMedianInLogarithms()
    {
        var interval = PredictionInterval.Of([1, Math.E, Math.E * Math.E])!; // logarithms 0, 1, 2: their standard deviation is 1
        double reach = 4.303 * Math.Sqrt(2 * 0.4487);
        Assert.Equal(1 - reach, Math.Log(interval.Low), 3);
        Assert.Equal(1 + reach, Math.Log(interval.High), 3);
    }

    [Fact]
    public void Of_EqualSamples_IsTheirValue()
    {
        var interval = PredictionInterval.Of([3.1, 3.1, 3.1, 3.1])!;
        Assert.True(interval.Holds(3.1));
        Assert.False(interval.Holds(3.2));
    }

    [Theory]
    [InlineData(new[] { 1.0, 2 })]
    [InlineData(new[] { 1.0, 0, 2 })]
    [InlineData(new[] { 1.0, double.PositiveInfinity, 2, 3, 4, 5, 6 })]
    public void Of_TooFewOrWithoutLogarithm_IsNull(double[] samples) => Assert.Null(PredictionInterval.Of(samples));

    [Fact]
    public void MedianOf_Samples_PredictionIsWiderThanConfidence()
    {
        var estimate = SampleStatistics.MedianOf([1, 1.1, 1.2, 1.3, 1.4], 1);
        Assert.True(estimate.Prediction!.Low < estimate.Low && estimate.Prediction.High > estimate.High);
    }

    [Theory]
    [InlineData(9, 2.262)]
    [InlineData(20, 2.086)]
    [InlineData(60, 2.000)]
    public void StudentT_ManyDegreesOfFreedom_AreThoseOfTheTables(int freedom, double expected) => Assert.Equal(expected, StudentT.Quantile(freedom), 0.002);

    private static double[] Draw(Random random, int samples) =>
        [.. Enumerable.Range(0, samples).Select(_ => Math.Exp(0.2 * (Enumerable.Range(0, 12).Sum(_ => random.NextDouble()) - 6)))]; // nearly log-normal
}
