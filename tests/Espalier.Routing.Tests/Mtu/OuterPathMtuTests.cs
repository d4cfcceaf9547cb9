using Espalier.Routing.Mtu;
using Espalier.Testing;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests.Mtu;

public sealed class OuterPathMtuTests
{
    private readonly ManualClock _clock = new();
    private readonly OuterPathMtu _paths;

    public OuterPathMtuTests() => _paths = new OuterPathMtu(_clock);

    [Fact]
    public void Destination_NeverToldOf_Is1500() => Assert.Equal(1500, _paths[Ip("192.0.2.1")]);

    // RFC 1191 §3, RFC 8201 §4.
    [Theory]
    [InlineData("192.0.2.1", 1400, 1400)]
    [InlineData("192.0.2.1", 1500, 1500)]
    [InlineData("192.0.2.1", 9000, 1500)]
    [InlineData("192.0.2.1", 300, 576)]
    [InlineData("192.0.2.1", -5, 576)]
    [InlineData("192.0.2.1", 0, 1492)]
    [InlineData("2001:db8::1", 1400, 1400)]
    [InlineData("2001:db8::1", 1280, 1280)]
    [InlineData("2001:db8::1", 1279, 1500)]
    [InlineData("2001:db8::1", 0, 1500)]
    public void Report_OnAPathOf1500_Gives(string destination, int reported, int expected)
    {
        _paths.SetRouteMtu(Ip(destination), 1500);

        Assert.Equal(expected != 1500, _paths.Learn(Ip(destination), reported));
        Assert.Equal(expected, _paths[Ip(destination)]);
    }

    // RFC 1191 §7.1.
    [Fact]
    public void Report_OfZeroAgainAndAgain_StepsDownThePlateaus()
    {
        var destination = Ip("192.0.2.1");
        List<int> steps = [];
        while (_paths.Learn(destination, 0))
        {
            steps.Add(_paths[destination]);
        }

        Assert.Equal([1492, 1006, 576], steps);
    }

    // RFC 1191 §6.3, RFC 8201 §4: 10 minutes.
    [Fact]
    public void Report_After10Minutes_IsForgotten()
    {
        var destination = Ip("192.0.2.1");
        _paths.Learn(destination, 1300);
        _clock.Advance(TimeSpan.FromMinutes(10) - TimeSpan.FromSeconds(1));
        Assert.Empty(_paths.Expire());
        Assert.Equal(TimeSpan.FromSeconds(1), _paths.UntilExpiry());

        _clock.Advance(TimeSpan.FromSeconds(1));

        Assert.Equal([destination], _paths.Expire());
        Assert.Equal(1500, _paths[destination]);
        Assert.Null(_paths.UntilExpiry());
    }

    [Fact]
    public void Route_SmallerThanWhatWasLearnt_Wins()
    {
        var destination = Ip("192.0.2.1");
        _paths.Learn(destination, 1400);

        Assert.True(_paths.SetRouteMtu(destination, 1300));
        Assert.Equal(1300, _paths[destination]);
        Assert.True(_paths.SetRouteMtu(destination, 9000));
        Assert.Equal(1400, _paths[destination]);
        Assert.False(_paths.SetRouteMtu(destination, 8000));
    }
}
