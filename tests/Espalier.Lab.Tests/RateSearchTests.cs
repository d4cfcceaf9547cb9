using CsCheck;
using Espalier.Lab.Experiments;
using Espalier.Lab.Measuring;

namespace Espalier.Lab.Tests;

public sealed class RateSearchTests
{
    private const double ZeroLoss = 1e-5, PartialLoss = 1e-3;
    private static readonly RateSearchOptions _options = new(20_000, 1.03, 2, 10);

    [Fact]
    public async Task Find_SharpCapacity_IsTheHighestGridRateBelowIt()
    {
        await Gen.Double[300, 1_000_000].SampleAsync(
            async capacity =>
            {
                var found = await new RateSearch(_options, Lossy(capacity)).FindAsync(ZeroLoss);
                Assert.InRange(found.Rate, capacity / 1.0301, capacity);
            },
            iter: 200);
    }

    // Above its capacity a system may lose little at first: the partial rate is above the zero-loss rate.
    [Fact]
    public async Task Find_SecondShare_UsesTheTrialsAgain()
    {
        int trials = 0;
        var search = new RateSearch(_options, (rate, seconds) =>
        {
            trials++;
            double loss = rate <= 100_000 ? 0 : rate <= 150_000 ? 5e-4 : 0.2;
            return Task.FromResult(Trial(rate, seconds, loss));
        });
        var zero = await search.FindAsync(ZeroLoss);
        int first = trials;
        var partial = await search.FindAsync(PartialLoss, zero);
        Assert.InRange(zero.Rate, 97_000, 100_000);
        Assert.InRange(partial.Rate, 145_000, 150_000);
        Assert.True(trials - first < first, $"{first} trials for the first share, {trials - first} for the second");
        Assert.Equal(trials, search.Trials.Count());
    }

    // What loses half of all packets needs no second opinion, and what the first search saw fail bounds the next.
    [Fact]
    public async Task Find_HopelessRates_TakeOneTrialEachForAllShares()
    {
        var search = new RateSearch(_options, (rate, seconds) => Task.FromResult(Trial(rate, seconds, rate > 50_000 ? 0.5 : 0)));
        var zero = await search.FindAsync(ZeroLoss);
        int first = search.Trials.Count();
        await search.FindAsync(PartialLoss, zero);
        await search.FindAsync(0, zero);
        Assert.Equal(first, search.Trials.Count());
        Assert.All(search.Trials.Where(trial => trial.Rate > 50_000).GroupBy(trial => trial.Rate), trials => Assert.Single(trials));
    }

    // One unlucky packet in one of three trials does not fail a rate.
    [Fact]
    public async Task Find_EveryThirdTrialUnlucky_StillFindsTheCapacity()
    {
        int trials = 0;
        var search = new RateSearch(_options, (rate, seconds) => Task.FromResult(Trial(rate, seconds, rate > 80_000 || ++trials % 3 == 0 ? 0.1 : 0)));
        Assert.InRange((await search.FindAsync(ZeroLoss)).Rate, 77_500, 80_000);
    }

    // Whose capacity strays, and that stumbles once in ten seconds near it, as a machine shared with others does.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void SearchSeconds_OfFull_IsAboutWhatSimulatedSearchesTake(bool restless)
    {
        var settings = LabSettings.FullProfile(1);
        var random = new Random(3);
        double mean = Enumerable.Range(0, 150).Average(_ =>
        {
            double seconds = 0;
            var search = new RateSearch(_options, (rate, length) =>
            {
                double capacity = 300_000 * Math.Exp((restless ? 0.1 : 0.05) * (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5));
                double loss = rate > capacity ? 1 - (capacity / rate) : restless && random.NextDouble() < 0.1 * length * rate * rate / 9e10 ? 2e-4 : 0;
                seconds += length + 0.15 + (loss > 0 ? settings.Grace + 0.2 : 0);
                return Task.FromResult(Trial(rate, length, loss));
            });
            var zero = search.FindAsync(ZeroLoss).GetAwaiter().GetResult();
            search.FindAsync(PartialLoss, zero).GetAwaiter().GetResult();
            search.FindAsync(0, zero).GetAwaiter().GetResult();
            return seconds;
        });
        double estimate = UdpExperiment.SearchSeconds(settings, restless);
        Assert.InRange(mean, estimate * 0.6, estimate * 1.4);
    }

    // An unbounded queue hides an overload of two seconds; ten seconds show it.
    [Fact]
    public async Task Find_ShortTrialsPassButLongFail_GoesDownToWhatIsConfirmed()
    {
        var search = new RateSearch(_options, (rate, seconds) => Task.FromResult(Trial(rate, seconds, rate > (seconds > 5 ? 50_000 : 60_000) ? 0.01 : 0)));
        Assert.InRange((await search.FindAsync(ZeroLoss)).Rate, 50_000 / 1.0301, 50_000);
    }

    [Fact]
    public async Task Find_GeneratorTooSlow_IsVoidAndSaidSo()
    {
        var search = new RateSearch(_options, (rate, seconds) =>
        {
            long scheduled = (long)(rate * seconds), sent = rate <= 300_000 ? scheduled : scheduled / 2;
            return Task.FromResult(new RateTrial(rate, seconds, scheduled, sent, sent));
        });
        var found = await search.FindAsync(ZeroLoss);
        Assert.True(found.GeneratorLimited);
        Assert.InRange(found.Rate, 291_000, 300_000);
        Assert.True(search.Voided > 0);
        Assert.DoesNotContain(search.Trials, trial => trial.IsVoid);
    }

    [Fact]
    public async Task Find_NothingPasses_IsZeroAndEnds()
    {
        int trials = 0;
        var search = new RateSearch(_options, (rate, seconds) =>
        {
            trials++;
            return Task.FromResult(Trial(rate, seconds, 1));
        });
        Assert.Equal(0, (await search.FindAsync(ZeroLoss)).Rate);
        Assert.True(trials < 100, $"{trials} trials");
    }

    [Theory]
    [InlineData(1000, 999, 999, false, 0)]
    [InlineData(1000, 998, 998, true, 0)]
    [InlineData(1000, 1000, 990, false, 0.01)]
    [InlineData(1000, 1000, 1001, false, 0)] // duplicates are no negative loss
    [InlineData(1000, 0, 0, true, 1)]
    public void RateTrial_Counts_GiveLossAndVoid(long scheduled, long sent, long received, bool isVoid, double loss)
    {
        var trial = new RateTrial(500, 2, scheduled, sent, received);
        Assert.Equal(isVoid, trial.IsVoid);
        Assert.Equal(loss, trial.Loss, 9);
    }

    private static Func<double, double, Task<RateTrial>> Lossy(double capacity) =>
        (rate, seconds) => Task.FromResult(Trial(rate, seconds, rate <= capacity ? 0 : 1 - (capacity / rate) + 0.001));

    private static RateTrial Trial(double rate, double seconds, double loss)
    {
        const long sent = 1_000_000;
        return new RateTrial(rate, seconds, sent, sent, (long)(sent * (1 - loss)));
    }
}
