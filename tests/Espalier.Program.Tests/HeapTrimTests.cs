using Espalier.Running.Composition;
using Espalier.Testing;

namespace Espalier.Program.Tests;

/// <summary>When memory is given back: once after most of many entries went and routing has written that, not at each removal.</summary>
public sealed class HeapTrimTests
{
    private readonly ManualClock _clock = new();
    private readonly HeapTrim _trim;
    private int _entries;
    private int _trimmed;
    private bool _settled = true;

    public HeapTrimTests() => _trim = new HeapTrim(() => _entries, () => _settled, () => _trimmed++, _clock);

    [Theory]
    [InlineData(999, 999, 0)]
    [InlineData(1_000, 1_000, 1)]
    [InlineData(10_000, 4_999, 0)]
    [InlineData(10_000, 5_000, 1)]
    [InlineData(10_000, 9_000, 1)]
    [InlineData(10_000, 10_000, 1)]
    public void Look_AfterAFlush_TrimsOnceWhereAsManyWentAsAreLeft(int before, int removed, int expected)
    {
        _entries = before;
        Remove(removed);

        Assert.Equal(-1, _trim.Look());
        Assert.Equal(-1, _trim.Look());
        Assert.Equal(expected, _trimmed);
    }

    [Fact]
    public void Look_TenThousandRemovedOneByOne_TrimsAFewTimes()
    {
        _entries = 10_000;
        for (int i = 0; i < 10_000; i++)
        {
            Remove(1);
            _trim.Look();
        }

        // With 5,000, 2,500, 1,250 and 250 left.
        Assert.Equal(4, _trimmed);
    }

    [Fact]
    public void Look_EntriesThatAreReplaced_TrimsAsWell()
    {
        _entries = 2_000;
        for (int i = 0; i < 10_000; i++)
        {
            _entries++;
            Remove(1);
            _trim.Look();
        }

        Assert.Equal(5, _trimmed);
    }

    [Fact]
    public void Look_RoutingHasNotSettled_WaitsForItAndAsksToBeCalled()
    {
        _entries = 10_000;
        Remove(10_000);
        _settled = false;
        Assert.Equal(HeapTrim.RetryMilliseconds, _trim.Look());
        Assert.Equal(0, _trimmed);

        _settled = true;
        Assert.Equal(-1, _trim.Look());
        Assert.Equal(1, _trimmed);
    }

    [Fact]
    public void Look_RoutingNeverSettles_TrimsAfterTheLongestWait()
    {
        _entries = 10_000;
        Remove(10_000);
        _settled = false;
        _trim.Look();
        _clock.Advance(HeapTrim.Longest);

        Assert.Equal(-1, _trim.Look());
        Assert.Equal(1, _trimmed);
    }

    private void Remove(int count)
    {
        for (int i = 0; i < count; i++)
        {
            _entries--;
            _trim.Removed();
        }
    }
}
