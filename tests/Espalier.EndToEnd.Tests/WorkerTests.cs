using System.Globalization;
using System.Text.Json.Nodes;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// Several workers each way, on the hosts of <see cref="TwoHosts"/>: exact counters, order within a flow, nothing lost, also with the replay window of 32 that
/// charon has by default.
/// </summary>
public sealed class WorkerTests
{
    private const int Flows = 8;

    [Theory]
    [InlineData(1, true)]
    [InlineData(2, true)]
    [InlineData(4, true)]
    [InlineData(2, false)]
    [InlineData(4, false)]
    [InlineData(2, true, "--spread")]
    [InlineData(4, true, "--spread")]
    [InlineData(2, false, "--spread")]
    [InlineData(2, true, "--spread", "--no-tso", "--no-udp-gso")]
    public void Workers_TcpAndUdpOfManyFlows_CountersExactAndFlowsInOrder(int workers, bool udp, params string[] options)
    {
        Requirements.Need("iperf3");
        using var hosts = new TwoHosts(1500, ["--workers", workers.ToString(CultureInfo.InvariantCulture), .. options]);
        hosts.Key(outer6: false, inner6: false, udp, extra: "replay-window 32");
        Assert.Equal(2 * workers, hosts.MoonDaemon.Stat()["workers"]!.AsArray().Count);

        var tcp = Measure(hosts, $"-P {Flows} -n 24M -b 30M");
        Assert.True((long)tcp["end"]!["sum_received"]!["bytes"]! > 0);
        var datagrams = Measure(hosts, $"-u -P {Flows} -b 2M -l 1000 -t 2");
        foreach (var stream in datagrams["end"]!["streams"]!.AsArray())
        {
            Assert.Equal(0, (long)stream!["udp"]!["out_of_order"]!);
            Assert.Equal(0, (long)stream["udp"]!["lost_packets"]!);
        }

        CheckCounters(hosts);
        Assert.Equal(Math.Min(workers, 2), Math.Min(Busy(hosts.MoonDaemon, "outbound"), 2));
    }

    [Fact]
    public void Workers_SasReplacedUnderTraffic_NothingButWhatHasNoSaIsDropped()
    {
        Requirements.Need("iperf3");
        using var hosts = new TwoHosts(1500, "--workers", "4");
        hosts.Key(outer6: false, inner6: false, udp: true, extra: "replay-window 1024");
        using var server = Serve(hosts);
        using var client = hosts.Moon.Start($"iperf3 -c 10.2.0.1 -B 10.1.0.1 -u -P {Flows} -b 2M -l 500 -t 3");

        // iperf3 opens each UDP stream with one datagram and waits for its answer: what is lost there is lost to it.
        Wait.Until(() => Traffic(hosts.MoonDaemon.Stat(), "packetsOut") > 500, "iperf3 does not send");
        for (int round = 0; round < 10; round++)
        {
            hosts.MoonDaemon.Exec("ip xfrm state flush").Expect();
            hosts.SunDaemon.Exec("ip xfrm state flush").Expect();
            hosts.Associate(outer6: false, udp: true, extra: "replay-window 1024");
        }

        Assert.True(client.WaitForExit(TimeSpan.FromSeconds(20)));
        foreach (var daemon in new[] { hosts.MoonDaemon, hosts.SunDaemon })
        {
            Assert.False(daemon.Process.HasExited, daemon.Log);
            var drops = daemon.Stat()["drops"]!.AsObject().Where(drop => (long)drop.Value! != 0).Select(drop => drop.Key);
            Assert.Empty(drops.Except(["OutboundNoSa", "InboundUnknownSpi"]));
        }

        hosts.Moon.Sh("ping -c 3 -i 0.05 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
    }

    private static System.Diagnostics.Process Serve(TwoHosts hosts)
    {
        var server = hosts.Sun.Start("iperf3 -s -B 10.2.0.1 --one-off");
        TunnelTests.WaitForListener(hosts.Sun, 5201);
        return server;
    }

    private static JsonNode Measure(TwoHosts hosts, string load)
    {
        using var server = Serve(hosts);
        var result = hosts.Moon.Sh($"iperf3 -c 10.2.0.1 -B 10.1.0.1 {load} --json --get-server-output --connect-timeout 3000").Expect();
        Assert.True(server.WaitForExit(TimeSpan.FromSeconds(10)));
        return JsonNode.Parse(result.Output)!;
    }

    // What one host sent by an SA is what the other received by it, by the SA, the policy and the workers alike; nothing is dropped or replayed.
    private static void CheckCounters(TwoHosts hosts)
    {
        // The last packets of a connection may be on their way.
        var (moon, sun) = (hosts.MoonDaemon.Stat(), hosts.SunDaemon.Stat());
        Wait.Until(
            () =>
            {
                (moon, sun) = (hosts.MoonDaemon.Stat(), hosts.SunDaemon.Stat());
                return Traffic(moon, "packetsOut") == Traffic(sun, "packetsIn") && Traffic(sun, "packetsOut") == Traffic(moon, "packetsIn");
            },
            () => $"sent is not received: {moon["traffic"]} {sun["traffic"]} {sun["drops"]}");
        foreach (var (from, to, spi) in new[] { (moon, sun, TwoHosts.MoonToSun), (sun, moon, TwoHosts.SunToMoon) })
        {
            long sent = Traffic(from, "packetsOut");
            Assert.Equal(sent, Traffic(to, "packetsIn"));
            Assert.Equal(sent, Packets(from, spi));
            Assert.Equal(sent, Packets(to, spi));
            Assert.Equal(sent, from["policies"]!.AsArray().Where(policy => (string?)policy!["direction"] == "out").Sum(policy => (long)policy!["packets"]!));
            Assert.Equal(sent, to["policies"]!.AsArray().Where(policy => (string?)policy!["direction"] != "out").Sum(policy => (long)policy!["packets"]!));
        }

        Assert.All(moon["drops"]!.AsObject().Concat(sun["drops"]!.AsObject()), drop => Assert.True((long)drop.Value! == 0, $"{drop.Key}: {drop.Value}"));
    }

    private static long Traffic(JsonObject stat, string name) => (long)stat["traffic"]![name]!;

    private static long Packets(JsonObject stat, uint spi) =>
        (long)stat["associations"]!.AsArray().Single(sa => ((string)sa!["spi"]!).Contains(spi.ToString("x8", CultureInfo.InvariantCulture), StringComparison.Ordinal))!["packets"]!;

    private static int Busy(EspalierProgram daemon, string direction) => daemon.Stat()["workers"]!.AsArray()
        .Count(worker => ((string)worker!["name"]!).StartsWith(direction, StringComparison.Ordinal) && (long)worker["read"]! > 0);
}
