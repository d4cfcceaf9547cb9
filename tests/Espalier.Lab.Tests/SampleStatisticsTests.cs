using CsCheck;
using Espalier.Lab.Measuring;
using Espalier.Lab.Reporting;

namespace Espalier.Lab.Tests;

public sealed class SampleStatisticsTests
{
    private static readonly Gen<double[]> _samples = Gen.Double[0.1, 1000].Array[1, 40];

    private static Estimate? Paired(double?[] a, double?[] b) => SampleStatistics.RatioOf(SampleStatistics.PairedRatios(a, b), 1);

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
                var estimate = SampleStatistics.MedianOf(samples, 1);
                Assert.InRange(estimate.Value, estimate.Low!.Value, estimate.High!.Value);
                Assert.True(estimate.Low >= samples.Min() && estimate.High <= samples.Max());
            },
            iter: 20);

    // 95 of 100 intervals should hold the true median; of nine samples the percentile bootstrap keeps close to that.
    [Fact]
    public void MedianOf_ManyDraws_IntervalsHoldTheTruth()
    {
        var random = new Random(7);
        int held = Enumerable.Range(0, 200).Count(i => SampleStatistics.MedianOf([.. Enumerable.Range(0, 9).Select(_ => random.NextDouble())], i).Covers(0.5));
        Assert.InRange(held, 176, 200);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void MedianOf_FewDraws_IntervalsHoldTheTruth(int samples)
    {
        var random = new Random(11);
        double Draw() => Math.Exp(0.2 * (Enumerable.Range(0, 12).Sum(_ => random.NextDouble()) - 6)); // nearly log-normal, median 1
        int held = Enumerable.Range(0, 400).Count(i => SampleStatistics.MedianOf([.. Enumerable.Range(0, samples).Select(_ => Draw())], i).Covers(1));
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
            return new RatioPair("", "", "", SampleStatistics.MedianOf(one, i), SampleStatistics.MedianOf(two, i), SampleStatistics.UnpairedRatio(two, one, i));
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
    public void MedianOf_FewWithAZero_HaveNoInterval() => Assert.Null(SampleStatistics.MedianOf([0, 1, 2], 1).Low);

    [Fact]
    public void MedianOf_SameSeed_IsTheSame() => Assert.Equal(SampleStatistics.MedianOf([1, 5, 2, 8, 3, 7], 9), SampleStatistics.MedianOf([1, 5, 2, 8, 3, 7], 9));
}
