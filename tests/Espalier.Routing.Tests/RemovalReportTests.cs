using Espalier.Testing;

namespace Espalier.Routing.Tests;

/// <summary>What others remove is told at once, and then once in an interval, with nothing left out of the sums.</summary>
public sealed class RemovalReportTests
{
    private readonly ManualClock _clock = new();
    private readonly List<RemovalReport.Removals> _told = [];
    private readonly RemovalReport _report;

    public RemovalReportTests() => _report = new RemovalReport(_clock, _told.Add);

    [Fact]
    public void Add_First_IsToldAtOnce()
    {
        Assert.Null(_report.UntilDue);
        _report.Add(2, 3);
        Assert.Equal([new RemovalReport.Removals(1, 2, 3)], _told);
        Assert.Null(_report.UntilDue);
    }

    [Fact]
    public void Add_WithinTheInterval_IsToldInOneSumAfterIt()
    {
        _report.Add(1, 0);
        _clock.Advance(RemovalReport.Interval / 2);
        _report.Add(1, 4);
        _report.Add(2, 5);
        _report.TellDue();
        Assert.Single(_told);
        Assert.Equal(RemovalReport.Interval / 2, _report.UntilDue);

        _clock.Advance(RemovalReport.Interval / 2);
        Assert.Equal(TimeSpan.Zero, _report.UntilDue);
        _report.TellDue();

        Assert.Equal(new RemovalReport.Removals(2, 3, 9), _told[^1]);
        Assert.Null(_report.UntilDue);
        _report.TellDue();
        Assert.Equal(2, _told.Count);
    }

    [Fact]
    public void Add_AfterAQuietInterval_IsToldAtOnce()
    {
        _report.Add();
        _clock.Advance(RemovalReport.Interval);
        _report.Add();
        Assert.Equal(2, _told.Count);
    }
}
