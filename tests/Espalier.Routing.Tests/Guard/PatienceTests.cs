using Espalier.Routing.Guard;

namespace Espalier.Routing.Tests.Guard;

public sealed class PatienceTests
{
    private readonly Clock _clock = new();

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
        _clock.Milliseconds += 10;
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
            _clock.Milliseconds += 1;
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
        long waited = 0;
        for (int i = 0; i < 100_000; i++)
        {
            _clock.Milliseconds += 1;
            if (patience.TryBegin(out var longest))
            {
                long wait = Math.Min(7, (long)longest.TotalMilliseconds);
                waited += wait;
                _clock.Milliseconds += wait;
                patience.End();
            }
        }

        Assert.InRange((double)waited / _clock.Milliseconds, 0.45, 0.55);
    }

    private void Wait(Patience patience, int milliseconds)
    {
        Assert.True(patience.TryBegin(out _));
        _clock.Milliseconds += milliseconds;
        patience.End();
    }

    private sealed class Clock : TimeProvider
    {
        internal long Milliseconds { get; set; }

        public override long TimestampFrequency => 1000;

        public override long GetTimestamp() => Milliseconds;
    }
}
