using Espalier.Lab.Measuring;
using Espalier.Lab.Traffic;

namespace Espalier.Lab.Tests;

public sealed class BystanderTests
{
    // As of the round trips beside them, which SampleStatistics computes.
    [Theory]
    [InlineData(1)]
    [InlineData(99)]
    [InlineData(100)]
    [InlineData(1998)]
    [InlineData(2000)]
    public void NearestRank_AnyCount_IsThatOfThePercentile(int count)
    {
        double[] sorted = [.. Enumerable.Range(1, count).Select(i => (double)i)];
        Assert.All((int[])[50, 99, 100], percent => Assert.Equal(SampleStatistics.Percentile(sorted, percent / 100.0), Bystander.NearestRank(sorted, percent)));
    }

    // A host that stood still from 0.25 s on for 0.3 s woke its bystander once in all that time: by the count of wake-ups what follows would be a third of a second too soon.
    [Fact]
    public void Tenths_HostThatStoodStill_ShowsItWhenItDid()
    {
        double[] moments = [.. Enumerable.Range(0, 250).Select(i => i / 1000.0), 0.25, .. Enumerable.Range(551, 449).Select(i => i / 1000.0)];
        double[] delays = [.. Enumerable.Repeat(50.0, 250), 300_000, .. Enumerable.Repeat(50.0, 448), 700];
        Assert.Equal([50, 50, 300_000, 300_000, 300_000, 300_000, 50, 50, 50, 700], Bystander.Tenths(moments, delays, 1));
    }
}
