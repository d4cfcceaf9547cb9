using Espalier.Ike.Tests.Topologies;
using Espalier.Testing;

namespace Espalier.Ike.Tests.Traffic;

/// <summary>100 pings a second from one host to another, and as many back.</summary>
internal sealed class PingBothWays : IDisposable
{
    private readonly PingFlow _there;
    private readonly PingFlow _back;

    /// <summary>Starts both, and waits until both are answered.</summary>
    public PingBothWays(Site site)
        : this(site.AliceHost, "10.2.0.10", site.BobHost, "10.1.0.10")
    {
    }

    /// <summary>Starts both, and waits until both are answered.</summary>
    public PingBothWays(NetworkNamespace near, string farAddress, NetworkNamespace far, string nearAddress)
    {
        _there = new PingFlow(near, farAddress);
        _back = new PingFlow(far, nearAddress);
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
            $"there: {_there.Describe(lost.There)}; back: {_back.Describe(lost.Back)}");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _there.Dispose();
        _back.Dispose();
    }
}
