using Espalier.Routing.Guard;
using Espalier.Testing;

namespace Espalier.Routing.Tests.Guard;

public sealed class PatienceTests
{
    private readonly ManualClock _clock = new();

    [Fact]
    public void FewWaits_AreAllowedInFull()
    {
        var patience = new Patience(_clock);

        Assert.True(patience.TryBegin(out var longest));
        Assert.Equal(Patience.Longest, longest);
    }

    [Fact]
    public void WaitThatTookAll_TheNextIsRefusedUntilRested()
    {
        var patience = new Patience(_clock);
        Wait(patience, 1000);

        Assert.False(patience.TryBegin(out _));
        _clock.Advance(TimeSpan.FromMilliseconds(10));
        Assert.True(patience.TryBegin(out var longest));
        Assert.Equal(TimeSpan.FromMilliseconds(10), longest);
    }

    [Fact]
    public void RefusalsInBetween_DoNotCostRest()
    {
        var patience = new Patience(_clock);
        Wait(patience, 1000);
        for (int i = 0; i < 10; i++)
        {
            _clock.Advance(TimeSpan.FromMilliseconds(1));
            if (patience.TryBegin(out _))
            {
                patience.End();
            }
        }

        Assert.True(patience.TryBegin(out var longest));
        Assert.Equal(TimeSpan.FromMilliseconds(10), longest);
    }

    [Fact]
    public void ManyChangesInARow_WaitHalfOfTheTime()
    {
        var patience = new Patience(_clock);
        long start = _clock.GetTimestamp(), waited = 0;
        for (int i = 0; i < 100_000; i++)
        {
            _clock.Advance(TimeSpan.FromMilliseconds(1));
            if (patience.TryBegin(out var longest))
            {
                long wait = Math.Min(7, (long)longest.TotalMilliseconds);
                waited += wait;
                _clock.Advance(TimeSpan.FromMilliseconds(wait));
                patience.End();
            }
        }

        Assert.InRange(waited / _clock.GetElapsedTime(start).TotalMilliseconds, 0.45, 0.55);
    }

    private void Wait(Patience patience, int milliseconds)
    {
        Assert.True(patience.TryBegin(out _));
        _clock.Advance(TimeSpan.FromMilliseconds(milliseconds));
        patience.End();
    }
}
