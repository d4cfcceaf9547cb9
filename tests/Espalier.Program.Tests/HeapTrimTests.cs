using Espalier.Running.Composition;

namespace Espalier.Program.Tests;

public sealed class HeapTrimTests
{
    private readonly Clock _clock = new();
    private int _entries;
    private bool _settled = true;
    private int _trims;

    [Fact]
    public void Look_AfterAFlushOfMany_TrimsOnce()
    {
        var trim = Make();
        Remove(trim, 2000);

        Assert.Equal(-1, trim.Look());
        trim.Look();

        Assert.Equal(1, _trims);
    }

    [Theory]
    [InlineData(999, 0)]
    [InlineData(1500, 1501)]
    public void Look_FewWent_DoesNothing(int removed, int left)
    {
        var trim = Make();
        _entries = left;
        Remove(trim, removed);

        Assert.Equal(-1, trim.Look());

        Assert.Equal(0, _trims);
    }

    [Fact]
    public void Look_OneAfterTheOtherWent_TrimsAfterAsManyAsAreLeft()
    {
        var trim = Make();
        for (_entries = 9999; _entries >= 0; _entries--)
        {
            trim.Removed();
            trim.Look();
        }

        // 5,000 of 10,000, 2,500 of 5,000, 1,250 of 2,500; then at least 1,000.
        Assert.Equal(4, _trims);
    }

    [Fact]
    public void Look_RoutingIsBusy_WaitsForItButNotForEver()
    {
        var trim = Make();
        _settled = false;
        Remove(trim, 2000);

        Assert.Equal(HeapTrim.RetryMilliseconds, trim.Look());
        Assert.Equal(0, _trims);
        _clock.Now += HeapTrim.Longest;
        Assert.Equal(-1, trim.Look());
        Assert.Equal(1, _trims);
    }

    private HeapTrim Make() => new(() => _entries, () => _settled, () => _trims++, _clock);

    private static void Remove(HeapTrim trim, int count)
    {
        for (int i = 0; i < count; i++)
        {
            trim.Removed();
        }
    }

    private sealed class Clock : TimeProvider
    {
        internal TimeSpan Now { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Now.Ticks;
    }
}
