using CsCheck;
using Espalier.Wire.Icmp;

namespace Espalier.Wire.Tests.Icmp;

// RFC 4443 §2.4 (f): a token bucket. Time is a number here; nothing waits.
public sealed class IcmpRateLimiterTests
{
    [Fact]
    public void TryTake_FullBucket_AllowsTheBurstAndCountsTheRest()
    {
        var limiter = new IcmpRateLimiter(perSecond: 10, burst: 3);
        Assert.Equal([true, true, true, false, false], Enumerable.Range(0, 5).Select(_ => limiter.TryTake(1_000_000)));
        Assert.Equal(2, limiter.Refused);
    }

    [Fact]
    public void TryTake_TimePasses_RefillsAtTheRate()
    {
        var limiter = new IcmpRateLimiter(perSecond: 10, burst: 1);
        Assert.True(limiter.TryTake(0));
        Assert.False(limiter.TryTake(99));
        Assert.True(limiter.TryTake(100));
        Assert.False(limiter.TryTake(199));
        Assert.True(limiter.TryTake(200));
    }

    [Fact]
    public void TryTake_LongSilence_RefillsToTheBurstOnly()
    {
        var limiter = new IcmpRateLimiter(perSecond: 1000, burst: 2);
        Assert.True(limiter.TryTake(long.MinValue / 4));
        Assert.Equal([true, true, false], Enumerable.Range(0, 3).Select(_ => limiter.TryTake(long.MaxValue / 4)));
    }

    [Fact]
    public void TryTake_ClockBehind_GainsNothing()
    {
        var limiter = new IcmpRateLimiter(perSecond: 10, burst: 1);
        Assert.True(limiter.TryTake(1000));
        Assert.False(limiter.TryTake(0));
        Assert.False(limiter.TryTake(1050));
        Assert.True(limiter.TryTake(1100));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 0)]
    [InlineData(-1, 1)]
    public void Constructor_NoRateOrBurst_IsRefused(int perSecond, int burst) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new IcmpRateLimiter(perSecond, burst));

    [Fact]
    public void TryTake_AnySteps_EqualsExactBucket() =>
        Gen.Select(Gen.Int[1, 3000], Gen.Int[1, 60], Gen.Int[0, 400].Array[0, 100]).Sample((perSecond, burst, steps) =>
        {
            var limiter = new IcmpRateLimiter(perSecond, burst);
            decimal tokens = burst;
            long now = 0;
            foreach (int step in steps)
            {
                now += step;
                tokens = Math.Min(burst, tokens + (step * perSecond / 1000m));
                bool expected = tokens >= 1;
                tokens -= expected ? 1 : 0;
                Assert.Equal(expected, limiter.TryTake(now));
            }
        });
}
