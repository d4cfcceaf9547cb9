using Espalier.Ike.Tests.Topologies;

namespace Espalier.Ike.Tests.Traffic;

/// <summary>100 pings a second from alice to bob, and as many from bob to alice.</summary>
internal sealed class PingBothWays : IDisposable
{
    private readonly PingFlow _there;
    private readonly PingFlow _back;

    /// <summary>Starts both, and waits until both are answered.</summary>
    public PingBothWays(Site site)
    {
        _there = new PingFlow(site.AliceHost, "10.2.0.10");
        _back = new PingFlow(site.BobHost, "10.1.0.10");
        AwaitAnswers(20);
    }

    /// <summary>Waits until so many more of each have been answered.</summary>
    public void AwaitAnswers(int more, double seconds = 10)
    {
        _there.AwaitAnswers(more, seconds);
        _back.AwaitAnswers(more, seconds);
    }

    /// <summary>Stops both; not one may have been lost.</summary>
    public void ExpectAllAnswered()
    {
        var lost = (There: _there.Finish(), Back: _back.Finish());
        Assert.True(
            lost.There.Count + lost.Back.Count == 0,
            $"alice to bob: {_there.Describe(lost.There)}; bob to alice: {_back.Describe(lost.Back)}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _there.Dispose();
        _back.Dispose();
    }
}
