using System.Globalization;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// Lifetimes as `ip xfrm` sets them: a soft limit tells, a hard limit deletes and then tells; RFC 4301 §4.4.2.1 counts inner bytes of
/// authentic packets. A ping of 100 bytes is an inner packet of 128.
/// </summary>
public sealed class LifetimeTests
{
    private const string MoonSa = "src 192.168.0.1 dst 192.168.0.2 proto esp spi 0x10000001";

    [Theory]
    [InlineData("limit packet-soft 2 limit packet-hard 5", 5)]
    [InlineData("limit byte-soft 256 limit byte-hard 640", 5)]
    [InlineData("limit byte-soft 200 limit byte-hard 300", 3)] // the packet that crosses the limit still goes; the next does not
    public void Outbound_LimitsOfUse_PassExactlySoManyThenDeleteThenTell(string limits, int passing)
    {
        Requirements.Need("ping");
        using var hosts = Limited(moon: limits, sun: "");
        using var monitor = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon, "-s xfrm monitor").WaitUntilSubscribed(hosts.MoonDaemon);

        hosts.Moon.Sh("ping -c 8 -i 0.02 -s 100 -W 1 -I 10.1.0.1 10.2.0.1");
        monitor.Expect("\thard 1");

        Assert.DoesNotContain("0x10000001", hosts.MoonDaemon.Exec("ip xfrm state").Expect().Output, StringComparison.Ordinal);
        Assert.Equal(1, monitor.Count("\thard 0"));
        Assert.Equal(1, monitor.Count("\thard 1"));
        Assert.True(monitor.Text.IndexOf("\thard 0", StringComparison.Ordinal) < monitor.Text.IndexOf("\thard 1", StringComparison.Ordinal));
        string last = Blocks(monitor.Text).Last(block => block.Contains("\thard 1", StringComparison.Ordinal));
        Assert.Contains($"{128 * passing}(bytes), {passing}(packets)", last, StringComparison.Ordinal);
        var stat = hosts.MoonDaemon.Stat();
        Assert.Equal(8 - passing, (long)stat["drops"]!["OutboundSaExpired"]! + (long)stat["drops"]!["OutboundNoSa"]!);
        Assert.InRange((long)stat["drops"]!["OutboundSaExpired"]!, 1, 8 - passing);
        Assert.Equal(passing, (long)hosts.SunDaemon.Stat()["traffic"]!["packetsIn"]!);
    }

    [Fact]
    public void Inbound_HardPackets_PassExactlySoManyThenDropAndTell()
    {
        Requirements.Need("ping");
        using var hosts = Limited(moon: "", sun: "limit packet-soft 2 limit packet-hard 5");
        using var monitor = new XfrmMonitor(hosts.Sun, hosts.SunDaemon, "-s xfrm monitor").WaitUntilSubscribed(hosts.SunDaemon);

        hosts.Moon.Sh("ping -c 8 -i 0.02 -s 100 -W 1 -I 10.1.0.1 10.2.0.1");
        monitor.Expect("\thard 1");

        Assert.Contains("640(bytes), 5(packets)", monitor.Text, StringComparison.Ordinal);
        var stat = hosts.SunDaemon.Stat();
        Assert.Equal(5, (long)stat["traffic"]!["packetsIn"]!);
        Assert.Equal(3, (long)stat["drops"]!["InboundSaExpired"]! + (long)stat["drops"]!["InboundUnknownSpi"]!);
        Assert.DoesNotContain("0x10000001", hosts.SunDaemon.Exec("ip xfrm state").Expect().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Associations_LimitsOfTime_AddTimeRunsAlwaysUseTimeFromTheFirstPacket()
    {
        Requirements.Need("ping");
        using var hosts = Limited(moon: "limit time-use-soft 1 limit time-use-hard 2", sun: "");
        using var monitor = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon).WaitUntilSubscribed(hosts.MoonDaemon);
        AddOther(hosts.MoonDaemon, 0x20000001, "limit time-soft 1 limit time-hard 2");
        AddOther(hosts.MoonDaemon, 0x20000002, "limit time-use-soft 1 limit time-use-hard 1");
        hosts.MoonDaemon.Exec("ip xfrm policy add src 10.8.0.0/16 dst 10.9.0.0/16 dir out limit time-soft 1 limit time-hard 2").Expect();

        hosts.Moon.Sh("ping -c 1 -W 1 -I 10.1.0.1 10.2.0.1").Expect();
        monitor.Expect("\thard 1", 3);

        string state = hosts.MoonDaemon.Exec("ip xfrm state").Expect().Output;
        Assert.DoesNotContain("0x10000001", state, StringComparison.Ordinal); // used
        Assert.DoesNotContain("0x20000001", state, StringComparison.Ordinal); // added
        Assert.Contains("0x20000002", state, StringComparison.Ordinal); // never used, so its time has not begun
        Assert.DoesNotContain("10.9.0.0", hosts.MoonDaemon.Exec("ip xfrm policy").Expect().Output, StringComparison.Ordinal);
        Assert.Equal(3, monitor.Count("\thard 0"));
        Assert.Equal(3, monitor.Count("\thard 1"));
        foreach (string one in new[] { "0x10000001", "0x20000001", "dst 10.9.0.0/16" })
        {
            string[] told = [.. Blocks(monitor.Text).Where(block => block.StartsWith("Expired", StringComparison.Ordinal) && block.Contains(one, StringComparison.Ordinal))];
            Assert.Equal(2, told.Length);
            Assert.Contains("hard 0", told[0], StringComparison.Ordinal);
            Assert.Contains("hard 1", told[1], StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Association_LimitsUpdatedBelowItsUse_ExpiresAtOnce()
    {
        Requirements.Need("ping");
        using var hosts = Limited(moon: "", sun: "");
        hosts.Moon.Sh("ping -c 3 -i 0.02 -W 1 -I 10.1.0.1 10.2.0.1").Expect();
        using var monitor = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon).WaitUntilSubscribed(hosts.MoonDaemon);

        hosts.MoonDaemon.Exec($"ip xfrm state update {MoonSa} reqid 1 mode tunnel flag af-unspec limit packet-hard 2 {Algorithm} encap espinudp 4500 4500 0.0.0.0").Expect();

        monitor.Expect("\thard 1");
        Assert.NotEqual(0, hosts.MoonDaemon.Exec($"ip xfrm state get {MoonSa}").ExitCode);
    }

    [Fact]
    public void Counters_IpAndStat_AgreeAndAreExact()
    {
        Requirements.Need("ping");
        using var hosts = Limited(moon: "", sun: "");

        hosts.Moon.Sh("ping -c 7 -i 0.02 -s 100 -W 1 -I 10.1.0.1 10.2.0.1").Expect();

        foreach (var daemon in new[] { hosts.MoonDaemon, hosts.SunDaemon })
        {
            string[] shown = [.. Blocks(daemon.Exec("ip -s xfrm state").Expect().Output)];
            Assert.Equal(2, shown.Length);
            Assert.All(shown, block =>
            {
                Assert.Contains("896(bytes), 7(packets)", block, StringComparison.Ordinal);
                Assert.Contains("replay-window 0 replay 0 failed 0", block, StringComparison.Ordinal);
                Assert.DoesNotContain("use -", block, StringComparison.Ordinal);
            });
            Assert.All(daemon.Stat()["associations"]!.AsArray(), one => Assert.Equal((7, 896), ((int)one!["packets"]!, (int)one["bytes"]!)));
            string policies = daemon.Exec("ip -s xfrm policy").Expect().Output;
            Assert.Contains("lifetime current", policies, StringComparison.Ordinal);
        }

        var moon = hosts.MoonDaemon.Stat()["traffic"]!;
        // Out: ESP from SPI to ICV, 8 + 8 + (128 + 2 of trailer + 2 of padding) + 16; in: inner packets.
        Assert.Equal((7, 7 * 164, 7, 7 * 128), ((int)moon["packetsOut"]!, (int)moon["bytesOut"]!, (int)moon["packetsIn"]!, (int)moon["bytesIn"]!));
    }

    private static string Algorithm { get; } = $"aead rfc4106(gcm(aes)) {TwoHosts.GcmKey()} 128";

    /// <summary>Both hosts keyed; the SA moon → sun has the limits on one host only.</summary>
    private static TwoHosts Limited(string moon, string sun)
    {
        var hosts = new TwoHosts();
        foreach (var (daemon, limits) in new[] { (hosts.MoonDaemon, moon), (hosts.SunDaemon, sun) })
        {
            daemon.Exec($"ip xfrm state add {MoonSa} reqid 1 mode tunnel flag af-unspec replay-window 128 {limits} {Algorithm} encap espinudp 4500 4500 0.0.0.0").Expect();
            daemon.Exec($"ip xfrm state add src 192.168.0.2 dst 192.168.0.1 proto esp spi 0x10000002 reqid 1 mode tunnel flag af-unspec replay-window 128 {Algorithm} encap espinudp 4500 4500 0.0.0.0").Expect();
        }

        TwoHosts.Protect(hosts.MoonDaemon, "10.1.0.0/16", "10.2.0.0/16", "192.168.0.1", "192.168.0.2");
        TwoHosts.Protect(hosts.SunDaemon, "10.2.0.0/16", "10.1.0.0/16", "192.168.0.2", "192.168.0.1");
        return hosts;
    }

    private static void AddOther(EspalierProgram daemon, uint spi, string limits) =>
        daemon.Exec(string.Create(CultureInfo.InvariantCulture, $"ip xfrm state add src 192.168.0.1 dst 192.168.0.9 proto esp spi {spi} reqid 9 mode tunnel {limits} {Algorithm}")).Expect();

    /// <summary>iproute2 begins each SA, policy or message in the first column.</summary>
    internal static IEnumerable<string> Blocks(string text)
    {
        var block = new List<string>();
        foreach (string line in text.Split('\n'))
        {
            if (line.Length > 0 && !char.IsWhiteSpace(line[0]) && block.Count > 0)
            {
                yield return string.Join('\n', block);
                block.Clear();
            }

            block.Add(line);
        }

        if (string.Concat(block).Trim().Length > 0)
        {
            yield return string.Join('\n', block);
        }
    }
}
