using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>The published daemon's resident memory: idle, and after ten seconds of packets faster than it can take them.</summary>
public sealed class MemoryTests
{
    [Fact]
    public void Daemon_FloodOfTenSeconds_ResidentMemoryStays()
    {
        Requirements.Need("iperf3", "ping");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        // A second of traffic each way first, of so many flows that every worker has some: idle memory is taken with everything touched.
        Flood(hosts.Moon, "10.1.0.1", hosts.Sun, "10.2.0.1", 1, 64, flows: 32);
        Flood(hosts.Sun, "10.2.0.1", hosts.Moon, "10.1.0.1", 1, 64, flows: 32);
        var idle = (Moon: hosts.MoonDaemon.Memory(), Sun: hosts.SunDaemon.Memory());
        long allocatedBefore = Allocated(hosts.MoonDaemon), packetsBefore = Packets(hosts.MoonDaemon);

        string rate = Flood(hosts.Moon, "10.1.0.1", hosts.Sun, "10.2.0.1", 10, 64);

        var end = (Moon: hosts.MoonDaemon.Memory(), Sun: hosts.SunDaemon.Memory());
        TestContext.Current.TestOutputHelper?.WriteLine($"offered {rate}; idle {idle}; after the flood {end} (VmRSS, RssAnon in KiB)");

        // Each pair of workers beyond the first has buffers, flow caches and stacks of its own.
        int furtherPairs = (hosts.MoonDaemon.Stat()["workers"]!.AsArray().Count / 2) - 1;
        foreach (var (before, after) in new[] { (idle.Moon, end.Moon), (idle.Sun, end.Sun) })
        {
            Assert.InRange(before.VmRss, 1, (20 + (3 * furtherPairs)) * 1024);
            Assert.InRange(after.VmRss, 1, before.VmRss * 11 / 10);
            Assert.InRange(after.RssAnon, 1, before.RssAnon * 11 / 10 + 256);
        }

        // The control thread allocates by the second, not by the packet: some 5 KB in this time, however many packets there are.
        long allocated = Allocated(hosts.MoonDaemon) - allocatedBefore, packets = Packets(hosts.MoonDaemon) - packetsBefore;
        Assert.InRange(allocated, 0, 8 * 1024 + packets / 100);
    }

    private static long Packets(EspalierProgram daemon) => (long)daemon.Stat()["traffic"]!["packetsOut"]!;

    /// <summary>Bytes allocated so far by all threads, less what answering `stat` took.</summary>
    private static long Allocated(EspalierProgram daemon) => (long)daemon.Stat()["runtime"]!["allocatedBytes"]!;

    private static string Flood(NetworkNamespace from, string source, NetworkNamespace to, string destination, int seconds, int size, int flows = 1)
    {
        using var server = to.Start($"iperf3 -s -B {destination} --one-off");
        TunnelTests.WaitForListener(to, 5201);
        var result = from.Sh($"iperf3 -c {destination} -B {source} -u -b 0 -l {size} -t {seconds} -P {flows} --connect-timeout 3000", seconds + 30);
        if (!server.WaitForExit(TimeSpan.FromSeconds(10)))
        {
            server.Kill();
        }

        return result.Output;
    }
}
