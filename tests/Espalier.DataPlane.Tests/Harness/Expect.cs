using Espalier.DataPlane.Counters;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>Exact changes of counters: what is not named must not have changed.</summary>
internal static class Expect
{
    public static void Changes(
        TestHost host, CounterSnapshot before, (DropReason Reason, long By)[] drops, params (TrafficCounter Counter, long By)[] traffic)
    {
        var change = host.Counters.Snapshot().Since(before);
        for (var reason = DropReason.None; reason < DropReason.Count; reason++)
        {
            long expected = drops.Where(drop => drop.Reason == reason).Sum(drop => drop.By);
            Assert.True(expected == change[reason], $"{reason}: expected {expected}, found {change[reason]}");
        }

        for (TrafficCounter counter = 0; counter < TrafficCounter.Count; counter++)
        {
            // How the work was cut into batches is no part of the expectation.
            if (counter is TrafficCounter.Batches)
            {
                continue;
            }

            long expected = traffic.Where(entry => entry.Counter == counter).Sum(entry => entry.By);
            Assert.True(expected == change[counter], $"{counter}: expected {expected}, found {change[counter]}");
        }
    }

    /// <summary>One packet read from the TUN and dropped; nothing else.</summary>
    public static void OutboundDrop(TestHost host, CounterSnapshot before, DropReason reason, params (TrafficCounter Counter, long By)[] traffic) =>
        Changes(host, before, [(reason, 1)], [(TrafficCounter.TunPacketsRead, 1), .. traffic]);

    /// <summary>One packet read from an outer socket and dropped; nothing else.</summary>
    public static void InboundDrop(TestHost host, CounterSnapshot before, DropReason reason, params (TrafficCounter Counter, long By)[] traffic) =>
        Changes(host, before, [(reason, 1)], [(TrafficCounter.OuterPacketsRead, 1), .. traffic]);
}
