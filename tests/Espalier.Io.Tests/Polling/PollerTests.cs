using Espalier.Io.InMemory;
using Espalier.Io.Polling;
using Espalier.Testing;

namespace Espalier.Io.Tests.Polling;

[Collection(nameof(AllocationCollection))]
public sealed class PollerTests
{
    [Fact]
    public void Wait_ReadableDescriptor_IsReportedWithItsToken()
    {
        using var poller = new Poller();
        var (a, b) = SocketPairTunnelDevice.CreatePair();
        var (c, d) = SocketPairTunnelDevice.CreatePair();
        using (a)
        using (b)
        using (c)
        using (d)
        {
            poller.Add(a.PollDescriptor, 7);
            poller.Add(c.PollDescriptor, 8);
            poller.Wait(0);
            Assert.Empty(poller.Wait(0).ToArray());
            d.Send([1]);
            Assert.Equal([new PollEvent(8, true, false, false, false)], poller.Wait(-1).ToArray());
            b.Dispose();
            var events = poller.Wait(-1).ToArray();
            Assert.Equal([7, 8], events.Select(found => found.Token));
            Assert.True(events[0].HangUp);
            Assert.True(poller.Remove(a.PollDescriptor));
            Assert.False(poller.Remove(a.PollDescriptor));
            Assert.Equal([8], poller.Wait(0).ToArray().Select(found => found.Token));
        }
    }

    [Fact]
    public void Wake_FromAnotherThread_EndsAWait()
    {
        using var poller = new Poller();
        poller.Wait(0);
        var waker = new Thread(poller.Wake);
        waker.Start();
        Assert.Empty(poller.Wait(-1).ToArray());
        waker.Join();

        // Wakes before a wait count as one.
        poller.Wake();
        poller.Wake();
        Assert.Empty(poller.Wait(-1).ToArray());
        Assert.Empty(poller.Wait(0).ToArray());
    }

    [Fact]
    public void Add_FromAnotherThread_HoldsFromTheNextWait()
    {
        using var poller = new Poller();
        var pairs = Enumerable.Range(0, 40).Select(_ => SocketPairTunnelDevice.CreatePair()).ToList();
        poller.Wait(0);
        var other = new Thread(() =>
        {
            for (int i = 0; i < pairs.Count; i++)
            {
                pairs[i].Second.Send([1]);
                poller.Add(pairs[i].First.PollDescriptor, i);
            }
        });
        other.Start();
        while (poller.Wait(-1).Length < pairs.Count)
        {
        }

        other.Join();
        Assert.Equal(Enumerable.Range(0, 40), poller.Wait(0).ToArray().Select(found => found.Token));
        pairs.ForEach(pair => (pair.First, pair.Second).Dispose());
    }

    [Fact]
    public void Wait_Always_AllocatesNothing()
    {
        using var poller = new Poller();
        var (a, b) = SocketPairTunnelDevice.CreatePair();
        poller.Add(a.PollDescriptor, 1);
        b.Send([1]);
        poller.Wait(0);
        long allocated = Allocation.Least(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                poller.Wake();
                poller.Wait(0);
            }
        });

        Assert.Equal(0, allocated);
        a.Dispose();
        b.Dispose();
    }
}

internal static class PairExtensions
{
    internal static void Dispose(this (SocketPairTunnelDevice First, SocketPairTunnelDevice Second) pair)
    {
        pair.First.Dispose();
        pair.Second.Dispose();
    }
}
