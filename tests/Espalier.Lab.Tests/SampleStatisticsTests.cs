using CsCheck;
using Espalier.Lab.Measuring;
using Espalier.Lab.Reporting;

namespace Espalier.Lab.Tests;

public sealed class SampleStatisticsTests
{
    private static readonly Gen<double[]> _samples = Gen.Double[0.1, 1000].Array[1, 40];

    private static Estimate? Paired(double?[] a, double?[] b) => SampleStatistics.RatioOf(SampleStatistics.PairedRatios(a, b));

    [Theory]
    [InlineData(new[] { 3.0, 1, 2 }, 2)]
    [InlineData(new[] { 4.0, 1, 2, 3 }, 2.5)]
    [InlineData(new[] { 7.0 }, 7)]
    public void Median_Samples_IsTheMiddle(double[] samples, double expected) => Assert.Equal(expected, SampleStatistics.Median(samples));

    [Fact]
    public void Percentile_AnySamples_IsTheNaiveNearestRank() =>
        Gen.Select(_samples, Gen.Double[0.001, 1]).Sample((samples, share) =>
        {
            double found = SampleStatistics.Percentile(samples, share);
            double naive = samples.Order().First(value => samples.Count(other => other <= value) >= share * samples.Length);
            Assert.Equal(naive, found);
        });

    // A lost probe is infinite: with more than one in a hundred lost, the 99th percentile says so.
    [Fact]
    public void Percentile_LostProbes_AreInfinite()
    {
        double[] times = [.. Enumerable.Repeat(1.0, 980), .. Enumerable.Repeat(double.PositiveInfinity, 20)];
        Assert.Equal(1, SampleStatistics.Percentile(times, 0.98));
        Assert.Equal(double.PositiveInfinity, SampleStatistics.Percentile(times, 0.99));
    }

    [Fact]
    public void PairedRatio_MissingSamples_PairsByAlternation()
    {
        var ratio = Paired([2, null, 9, 8], [1, 5, 3, null]);
        Assert.Equal(2.5, ratio!.Value); // of 2 and 3
        Assert.Equal(2, ratio.Samples);
        Assert.Null(ratio.Low);
    }

    [Fact]
    public void PairedRatio_NothingInCommon_IsNull() => Assert.Null(Paired([1, null], [null, 1]));

    [Fact]
    public void PairedRatio_MachineThatSlowsDown_IsNotMisledByIt()
    {
        double?[] machine = [10, 8, 6, 4, 2];
        var ratio = Paired([.. machine.Select(m => m * 3)], machine)!;
        Assert.Equal((3, 3, 3), (ratio.Value, ratio.Low, ratio.High));
    }

    [Fact]
    public void MedianOf_AnySamples_IntervalHoldsTheMedianWithinTheSamples() =>
        Gen.Double[0.1, 1000].Array[6, 12].Sample(
            samples =>
            {
                var estimate = SampleStatistics.MedianOf(samples);
                Assert.InRange(estimate.Value, estimate.Low!.Value, estimate.High!.Value);
                Assert.True(estimate.Low >= samples.Min() && estimate.High <= samples.Max());
            },
            iter: 20);

    // 95 of 100 intervals or more hold the true median. By the percentile bootstrap 88 of seven samples did, 91 of eight and of thirteen: a median of so few takes few values.
    [Theory]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(13)]
    [InlineData(30)]
    public void MedianOf_ManyDraws_IntervalsHoldTheTruth(int samples)
    {
        var random = new Random(7);
        int held = Enumerable.Range(0, 2000).Count(_ => SampleStatistics.MedianOf([.. Enumerable.Range(0, samples).Select(_ => random.NextDouble())]).Covers(0.5));
        Assert.InRange(held, 1880, 2000);
    }

    // Ranks as in the tables of the sign test.
    [Theory]
    [InlineData(6, 1, 6)]
    [InlineData(8, 1, 8)]
    [InlineData(9, 2, 8)]
    [InlineData(13, 3, 11)]
    [InlineData(30, 10, 21)]
    public void MedianOf_Numbers_IntervalIsBetweenTheRanksOfTheBinomialDistribution(int samples, int low, int high)
    {
        var estimate = SampleStatistics.MedianOf([.. Enumerable.Range(1, samples).Select(i => (double)i)]);
        Assert.Equal((low, high), (estimate.Low, estimate.High));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void MedianOf_FewDraws_IntervalsHoldTheTruth(int samples)
    {
        var random = new Random(11);
        double Draw() => Math.Exp(0.2 * (Enumerable.Range(0, 12).Sum(_ => random.NextDouble()) - 6)); // nearly log-normal, median 1
        int held = Enumerable.Range(0, 400).Count(i => SampleStatistics.MedianOf([.. Enumerable.Range(0, samples).Select(_ => Draw())]).Covers(1));
        Assert.InRange(held, 368, 396);
    }

    [Fact]
    public void UnpairedRatio_FewDraws_IntervalsHoldTheTruth()
    {
        var random = new Random(13);
        double[] Draw(double median) => [.. Enumerable.Range(0, 3).Select(_ => median * Math.Exp(0.2 * (Enumerable.Range(0, 12).Sum(_ => random.NextDouble()) - 6)))];
        int held = Enumerable.Range(0, 400).Count(i => SampleStatistics.UnpairedRatio(Draw(6), Draw(2), i).Covers(3));
        Assert.InRange(held, 368, 400);
    }

    // Two runs that differ by chance alone: their ratios agree in 95 % of cases, though far fewer lie within each other's intervals.
    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(9)]
    public void RatioPair_RunsOfTheSame_AgreeAsOftenAsPromised(int samples)
    {
        var random = new Random(17);
        double[] Draw() => [.. Enumerable.Range(0, samples).Select(_ => Math.Exp(0.2 * (Enumerable.Range(0, 12).Sum(_ => random.NextDouble()) - 6)))];
        RatioPair[] pairs = [.. Enumerable.Range(0, 400).Select(i =>
        {
            double[] one = Draw(), two = Draw();
            return new RatioPair("", "", "", SampleStatistics.MedianOf(one), SampleStatistics.MedianOf(two), SampleStatistics.UnpairedRatio(two, one, i));
        })];
        Assert.InRange(pairs.Count(pair => pair.Agree), 372, 400);
        Assert.InRange(pairs.Count(pair => pair.Within), 240, 348);
    }

    // A change of one run against the other by ten times its noise is never called chance.
    [Fact]
    public void RatioPair_RunsThatDiffer_DoNotAgree()
    {
        var estimate = SampleStatistics.UnpairedRatio([3.0, 3.1, 2.9], [2.0, 2.05, 1.95], 1);
        Assert.False(new RatioPair("", "", "", estimate, estimate, estimate).Agree);
    }

    [Fact]
    public void MedianOf_FewWithAZero_HaveNoInterval() => Assert.Null(SampleStatistics.MedianOf([0, 1, 2]).Low);

    [Fact]
    public void UnpairedRatio_SameSeed_IsTheSame()
    {
        double[] one = [1, 5, 2, 8, 3, 7], two = [2, 4, 1, 9, 3, 5];
        Assert.Equal(SampleStatistics.UnpairedRatio(one, two, 9), SampleStatistics.UnpairedRatio(one, two, 9));
    }

    [Theory]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void UnpairedRatio_SomeDraws_IntervalsHoldTheTruth(int samples)
    {
        var random = new Random(41);
        double[] Draw() => [.. Enumerable.Range(0, samples).Select(_ => Math.Exp(0.2 * (Enumerable.Range(0, 12).Sum(_ => random.NextDouble()) - 6)))];
        int held = Enumerable.Range(0, 120).Count(i => SampleStatistics.UnpairedRatio(Draw(), Draw(), i).Covers(1));
        Assert.InRange(held, 108, 120);
    }

    // Searched rates lie on a grid, and the same ratio of two of them may differ in its last digit.
    [Fact]
    public void UnpairedRatio_SameStepsOfAGrid_HoldsOne()
    {
        double Rate(int step) => 20_000 * Math.Pow(1.03, step);
        var differing = Enumerable.Range(1, 100).Select(step => (One: Rate(step + 40) / Rate(step), Two: Rate(step + 41) / Rate(step + 1))).First(pair => pair.One != pair.Two);
        Assert.True(SampleStatistics.UnpairedRatio([differing.One, differing.One, differing.One], [differing.Two, differing.Two, differing.Two], 1).Covers(1));
    }

    // Without those the median would be that of the turns in which less was lost.
    [Fact]
    public void PairedRatio_TurnsThatLostProbes_AreInfiniteAndCount()
    {
        var ratio = Paired([double.PositiveInfinity, 30, double.PositiveInfinity], [10, 10, 10])!;
        Assert.Equal((double.PositiveInfinity, 3), (ratio.Value, ratio.Samples));
        Assert.Null(ratio.Low);
        Assert.Equal(3, Paired([double.PositiveInfinity, 30, 20], [10, 10, 10])!.Value);
        Assert.Equal(0, Paired([30, 30, 30], [double.PositiveInfinity, 10, double.PositiveInfinity])!.Value);
    }

    [Fact]
    public void PairedRatio_NothingOverNothing_IsNone()
    {
        Assert.Null(Paired([0, double.PositiveInfinity], [0, double.PositiveInfinity]));
        Assert.Equal(double.PositiveInfinity, Paired([3], [0])!.Value);
    }

    // 0.07 · 100 is 7.000000000000001.
    [Theory]
    [InlineData(100)]
    [InlineData(1000)]
    [InlineData(2000)]
    public void Percentile_WholeRanks_AreThose(int count)
    {
        double[] values = [.. Enumerable.Range(1, count).Select(i => (double)i)];
        Assert.All(Enumerable.Range(1, 100), percent => Assert.Equal(percent * count / 100, SampleStatistics.Percentile(values, percent / 100.0)));
    }
}
