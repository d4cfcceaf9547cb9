using System.Diagnostics;
using System.Globalization;
using System.Text;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Ten thousand SAs and ten thousand policies on one host: all are there, the tunnel works, and nothing stays after a flush.</summary>
public sealed class ScaleTests
{
    private const int Number = 10_000;

    // What may stay after a flush, in KiB: pages of the program that were not touched before (0.7 MB); after 10,000 SAs that carried packets also holes
    // between pinned arrays (1.3 MB) and what the first packet allocates (0.5 MB). 2,000 SAs that stayed would be 4 MB, 10,000 with policies 36 MB.
    private const int Kept = 2 * 1024;
    private const int KeptOfMany = 4 * 1024;

    [Fact]
    public void Host_TenThousandSasAndPolicies_WorksAndIsEmptyAfterFlush()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        var moon = hosts.MoonDaemon;
        int rules = Rules(hosts);
        long start = moon.Memory().VmRss;

        double associations = Batch(moon, i => string.Create(
            CultureInfo.InvariantCulture,
            $"xfrm state add src 192.168.0.1 dst 192.168.0.2 proto esp spi {0x20000000 + i} reqid {i + 10} mode tunnel replay-window 128 aead rfc4106(gcm(aes)) 0x{i:x40} 128 encap espinudp 4500 4500 0.0.0.0"));
        long withAssociations = moon.Memory().VmRss;
        double policies = Batch(moon, i => string.Create(
            CultureInfo.InvariantCulture,
            $"xfrm policy add src 10.1.0.0/16 dst 20.{i >> 8}.{i & 255}.0/24 dir out priority {i % 7} tmpl src 192.168.0.1 dst 192.168.0.2 proto esp reqid {i + 10} mode tunnel"));
        long withPolicies = moon.Memory().VmRss;
        Assert.InRange(withAssociations, 1, start + (4 * Number));
        Assert.InRange(withPolicies, 1, start + (6 * Number));

        Assert.Equal(rules, Rules(hosts));
        Assert.Equal($"SAD count {Number + 2}", moon.Exec("ip xfrm state count").Expect().Output.Trim());
        Assert.Equal($"SPD IN  1 OUT {Number + 1} FWD 1", moon.Exec("ip xfrm policy count").Expect().Output.Trim());
        var watch = Stopwatch.StartNew();
        string dump = moon.Exec("ip xfrm state").Expect().Output;
        double dumping = watch.Elapsed.TotalSeconds;
        Assert.Equal(Number + 2, dump.Split("\tproto esp spi ").Skip(1).Select(part => part[..10]).Distinct().Count());
        string policyDump = moon.Exec("ip xfrm policy list dir out").Expect().Output;
        Assert.Equal(Number + 1, policyDump.Split('\n').Where(line => line.StartsWith("src ", StringComparison.Ordinal)).Distinct().Count());
        Assert.Equal(Number + 2, (int)moon.Stat()["associationsCount"]!);
        hosts.Moon.Sh("ping -c 3 -i 0.02 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
        // One in the middle carries its own traffic and no other's.
        hosts.Moon.Sh("ping -c 2 -i 0.02 -W 0.1 -I 10.1.0.1 20.19.136.1");
        Assert.Contains("2(packets)", moon.Exec("ip -s xfrm state get src 192.168.0.1 dst 192.168.0.2 proto esp spi 0x20001388").Expect().Output, StringComparison.Ordinal);

        watch.Restart();
        moon.Exec("ip xfrm policy flush").Expect();
        moon.Exec("ip xfrm state flush").Expect();
        double flushing = watch.Elapsed.TotalSeconds;
        Assert.Equal("SAD count 0", moon.Exec("ip xfrm state count").Expect().Output.Trim());
        Assert.Equal("SPD IN  0 OUT 0 FWD 0", moon.Exec("ip xfrm policy count").Expect().Output.Trim());
        Assert.Equal("", moon.Exec("ip xfrm state").Expect().Output);
        Assert.True(Wait.For(() => hosts.Moon.Ip("route show table 4550").Trim().Length == 0), "routes are left in table 4550");
        long flushed = moon.SettledMemory(start + KeptOfMany);
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{Number} SAs in {associations:F2} s, {Number} policies in {policies:F2} s, dump of the SAs {dumping:F2} s, flush {flushing:F2} s; VmRSS {start} KiB, {(withAssociations - start) * 1024 / Number} B an SA, {(withPolicies - withAssociations) * 1024 / Number} B a policy, {flushed} KiB after the flush"));
        Assert.InRange(flushed, 1, start + KeptOfMany);
    }

    [Fact]
    public void Host_FilledAndFlushedRepeatedly_MemoryDoesNotGrow()
    {
        Requirements.Need();
        using var host = Espalier.Testing.NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        long start = daemon.Memory().VmRss;
        var resident = new List<long>();
        for (int round = 0; round < 4; round++)
        {
            Batch(daemon, i => string.Create(
                CultureInfo.InvariantCulture,
                $"xfrm state add src 192.168.0.1 dst 192.168.0.2 proto esp spi {0x20000000 + i} reqid {i + 10} mode tunnel aead rfc4106(gcm(aes)) 0x{i:x40} 128"), 2000);
            daemon.Exec("ip xfrm state flush").Expect();
            resident.Add(daemon.SettledMemory(resident.Count == 0 ? start + Kept : resident[0] * 11 / 10));
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"VmRSS in KiB: {start}, after each round of 2,000 SAs: {string.Join(", ", resident)}");
        Assert.InRange(resident[0], 1, start + Kept);
        Assert.All(resident, after => Assert.InRange(after, 1, resident[0] * 11 / 10));
    }

    private static double Batch(EspalierProgram daemon, Func<int, string> line, int number = Number)
    {
        string file = Path.GetTempFileName();
        try
        {
            var text = new StringBuilder();
            for (int i = 0; i < number; i++)
            {
                text.Append(line(i)).Append('\n');
            }

            File.WriteAllText(file, text.ToString());
            var watch = Stopwatch.StartNew();
            daemon.Exec($"ip -batch {file}").Expect();
            return watch.Elapsed.TotalSeconds;
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static int Rules(TwoHosts hosts) =>
        (hosts.Moon.Ip("rule show") + hosts.Moon.Ip("-6 rule show")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length;
}
