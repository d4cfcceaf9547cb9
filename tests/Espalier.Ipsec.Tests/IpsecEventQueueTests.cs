using Espalier.Ipsec.Spd;
using Espalier.Testing;

namespace Espalier.Ipsec.Tests;

[Collection(nameof(AllocationCollection))]
public class IpsecEventQueueTests
{
    [Fact]
    public void TryTake_GivesEventsInOrder()
    {
        var queue = new IpsecEventQueue(4);
        Assert.False(queue.TryTake(out _));
        for (int round = 0; round < 5; round++)
        {
            Assert.True(queue.TryPost(Event(1)) && queue.TryPost(Event(2)) && queue.TryPost(Event(3)));
            Assert.Equal([1, 2, 3], Drain(queue));
        }
    }

    [Fact]
    public void TryPost_Full_LosesTheEventAndCountsIt()
    {
        var queue = new IpsecEventQueue(4);
        for (int i = 0; i < 4; i++)
        {
            Assert.True(queue.TryPost(Event(i)));
        }

        Assert.False(queue.TryPost(Event(9)));
        Assert.False(queue.TryPost(Event(9)));
        Assert.Equal(2, queue.Lost);
        Assert.Equal([0, 1, 2, 3], Drain(queue));
        Assert.True(queue.TryPost(Event(5)));
        Assert.Equal([5], Drain(queue));
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(3, 4)]
    [InlineData(1024, 1024)]
    public void Capacity_IsAPowerOfTwo(int asked, int expected) => Assert.Equal(expected, new IpsecEventQueue(asked).Capacity);

    [Fact]
    public void Signal_OnlyWhenTheQueueWasEmpty()
    {
        int signals = 0;
        var queue = new IpsecEventQueue(8) { Signal = () => signals++ };
        queue.TryPost(Event(1));
        queue.TryPost(Event(2));
        Assert.Equal(1, signals);
        Drain(queue);
        queue.TryPost(Event(3));
        Assert.Equal(2, signals);
    }

    [Fact]
    public void TryTake_LetsGoOfWhatItGave()
    {
        var queue = new IpsecEventQueue(4);
        var weak = Post(queue);
        GC.Collect();
        Assert.False(weak.TryGetTarget(out _));

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static WeakReference<SecurityPolicy> Post(IpsecEventQueue queue)
        {
            var policy = Build.Policy();
            queue.TryPost(new IpsecEvent(IpsecEventKind.Acquire, null, policy, default, default, 0, 0));
            queue.TryTake(out _);
            return new WeakReference<SecurityPolicy>(policy);
        }
    }

    [Fact]
    public void TryPostAndTryTake_AllocateNothing()
    {
        var queue = new IpsecEventQueue(4);
        long allocated = Allocation.Least(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                queue.TryPost(Event(i));
                queue.TryPost(Event(i));
                queue.TryTake(out _);
            }
        });

        Assert.Equal(0, allocated);
    }

    [Fact]
    public void ManyPostersOneTaker_NothingIsLostUncountedOrDoubled_AndNoWakeUpIsMissed()
    {
        const int Posters = 3;
        const int Each = 20_000;
        using var wake = new SemaphoreSlim(0);
        var queue = new IpsecEventQueue(16) { Signal = () => wake.Release() };
        var posters = Enumerable.Range(0, Posters).Select(p => new Thread(() =>
        {
            for (int i = 0; i < Each; i++)
            {
                // Not lost: tried until there is room, so that every number must arrive.
                while (!queue.TryPost(Event((p * Each) + i)))
                {
                    Thread.Yield();
                }
            }
        })).ToList();
        posters.ForEach(t => t.Start());

        var last = new int[] { -1, -1, -1 };
        int taken = 0;
        while (taken < Posters * Each)
        {
            // Sleeps when it saw the queue empty: a missed signal would hang here.
            while (queue.TryTake(out var value))
            {
                int poster = value.PathMtu / Each;
                Assert.Equal(last[poster] + 1, value.PathMtu % Each);
                last[poster]++;
                taken++;
            }

            if (taken < Posters * Each)
            {
                Assert.True(wake.Wait(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken), "a signal was missed");
            }
        }

        posters.ForEach(t => t.Join());
        Assert.False(queue.TryTake(out _));
    }

    private static IpsecEvent Event(int number) => new(IpsecEventKind.PathMtu, null, null, default, default, 0, number);

    private static List<int> Drain(IpsecEventQueue queue)
    {
        var seen = new List<int>();
        while (queue.TryTake(out var value))
        {
            seen.Add(value.PathMtu);
        }

        return seen;
    }
}
