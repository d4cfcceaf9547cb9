using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Ladder;

/// <summary>
/// The daemon of moon, on the hosts of <see cref="TwoHosts"/>, under a kernel that refuses a rung of the offload ladder: TCP passes both ways, what one host sent the
/// other received or counted, and one line of the log names the rung and the reason.
/// </summary>
public sealed class RefusedRungTests(RefusingKernel kernel) : IClassFixture<RefusingKernel>
{
    private const string InvalidArgument = "Invalid argument";
    private const string NoOption = "Protocol not available";

    // What is refused; what the log says of it; the line of the offloads in use.
    [Theory]
    [InlineData("IFF_VNET_HDR=EINVAL", "IFF_VNET_HDR", InvalidArgument, "TUN packet by packet; UDP with GSO, with GRO; 2 workers")]
    [InlineData("TUNSETOFFLOAD=EINVAL", "TUNSETOFFLOAD", InvalidArgument, "TUN packet by packet; UDP with GSO, with GRO; 2 workers")]
    [InlineData("USO=EINVAL", "TUNSETOFFLOAD with USO", InvalidArgument, "TUN with TSO; UDP with GSO, with GRO; 2 workers")]
    [InlineData("IFF_MULTI_QUEUE=EINVAL", "IFF_MULTI_QUEUE", InvalidArgument, "TUN with TSO and USO; UDP with GSO, with GRO; one worker")]
    [InlineData("MORE_QUEUES=EBUSY", "IFF_MULTI_QUEUE", "Device or resource busy", "TUN with TSO and USO; UDP with GSO, with GRO; one worker")]
    [InlineData("UDP_GRO=ENOPROTOOPT", "UDP_GRO", NoOption, "TUN with TSO and USO; UDP with GSO, without GRO; 2 workers")]
    [InlineData("UDP_SEGMENT=ENOPROTOOPT", "UDP_SEGMENT", NoOption, "TUN with TSO and USO; UDP without GSO, with GRO; 2 workers")]
    public void RefusedAtStart_NextRungCarriesEverything_AndOneLineSaysSo(string rule, string rung, string reason, string offloads)
    {
        using var hosts = Start(rule);
        Assert.Contains($"Offloads: {offloads}", hosts.MoonDaemon.Log, StringComparison.Ordinal);
        Assert.Equal(1, Lines(hosts.MoonDaemon, rung, reason));

        Transfer(hosts);

        AssertNothingLost(hosts);
        Assert.Equal(1, Regex.Count(hosts.MoonDaemon.Log, "warning: "));
    }

    [Fact]
    public void EverythingRefusedAtStart_PacketByPacket_CarriesEverything()
    {
        using var hosts = Start("IFF_VNET_HDR=EINVAL", "IFF_MULTI_QUEUE=EINVAL", "UDP_GRO=ENOPROTOOPT", "UDP_SEGMENT=ENOPROTOOPT");
        Assert.Contains("Offloads: TUN packet by packet; UDP without GSO, without GRO; one worker", hosts.MoonDaemon.Log, StringComparison.Ordinal);

        Transfer(hosts);

        AssertNothingLost(hosts);
        Assert.Equal(4, Regex.Count(hosts.MoonDaemon.Log, "warning: The kernel "));
    }

    // The start found the rung; every message that the kernel is to cut is refused from then on.
    [Theory]
    [InlineData("EIO", "Input/output error")]
    [InlineData("EINVAL", InvalidArgument)]
    [InlineData("EMSGSIZE", "Message too long")]
    [InlineData("ENOPROTOOPT", NoOption)]
    public void SegmentationRefusedAtRunTime_EveryPacketLeaves_AndOneLineSaysSo(string errno, string reason)
    {
        using var hosts = Start($"SEND={errno}");
        Assert.Contains("UDP with GSO", hosts.MoonDaemon.Log, StringComparison.Ordinal);

        Transfer(hosts);

        AssertNothingLost(hosts);
        Wait.Until(() => Lines(hosts.MoonDaemon, "UDP_SEGMENT", reason) == 1, () => hosts.MoonDaemon.Log);
        Transfer(hosts);
        AssertNothingLost(hosts);
        Assert.Equal(1, Regex.Count(hosts.MoonDaemon.Log, "warning: "));
    }

    // What was in the refused super-packet is lost and counted; TCP sends it again.
    [Fact]
    public void SuperPacketsRefusedAtRunTime_LossIsCounted_AndOneLineSaysSo()
    {
        using var hosts = Start("WRITE=EINVAL");

        Transfer(hosts);

        Wait.Until(() => Lines(hosts.MoonDaemon, "super-packets", InvalidArgument) == 1, () => hosts.MoonDaemon.Log);
        var (moon, sun) = Settled(hosts);
        Assert.True(Drops(moon).Sum(drop => drop.Value) > 0);
        Assert.Equal(["InboundTunRefused"], Drops(moon).Keys);
        Assert.Empty(Drops(sun));
    }

    private TwoHosts Start(params string[] rules)
    {
        Requirements.Need("iperf3");
        var hosts = new TwoHosts();
        try
        {
            hosts.RestartMoonUnder(kernel.Launcher(rules), "--workers", "2");
            hosts.Key(outer6: false, inner6: false, udp: true);
            return hosts;
        }
        catch
        {
            hosts.Dispose();
            throw;
        }
    }

    private static int Lines(EspalierProgram daemon, string rung, string reason) => Regex.Count(daemon.Log, $"warning: .*{rung}.*{reason}");

    // Slow enough that no queue of the kernel is full, in bursts large enough to be super-packets.
    private static void Transfer(TwoHosts hosts)
    {
        foreach (string direction in (string[])["", "-R"])
        {
            using var server = hosts.Sun.Start("iperf3 -s -B 10.2.0.1 --one-off");
            TunnelTests.WaitForListener(hosts.Sun, 5201);
            hosts.Moon.Sh($"iperf3 -c 10.2.0.1 -B 10.1.0.1 -n 12M -b 200M {direction} --connect-timeout 3000").Expect();
            Assert.True(server.WaitForExit(TimeSpan.FromSeconds(10)));
        }
    }

    private static void AssertNothingLost(TwoHosts hosts)
    {
        var (moon, sun) = Settled(hosts);
        Assert.Empty(Drops(moon));
        Assert.Empty(Drops(sun));
    }

    /// <summary>Statistics of both, when each has received or dropped what the other sent.</summary>
    private static (JsonObject Moon, JsonObject Sun) Settled(TwoHosts hosts)
    {
        var (moon, sun) = (hosts.MoonDaemon.Stat(), hosts.SunDaemon.Stat());
        Wait.Until(
            () =>
            {
                (moon, sun) = (hosts.MoonDaemon.Stat(), hosts.SunDaemon.Stat());
                return Sent(moon) == Arrived(sun) && Sent(sun) == Arrived(moon);
            },
            () => $"sent is neither received nor counted: {moon["traffic"]} {moon["drops"]} {sun["traffic"]} {sun["drops"]}");
        return (moon, sun);
    }

    private static long Sent(JsonObject stat) => (long)stat["traffic"]!["packetsOut"]!;

    private static long Arrived(JsonObject stat) => (long)stat["traffic"]!["packetsIn"]! + Drops(stat).Sum(drop => drop.Value);

    private static Dictionary<string, long> Drops(JsonObject stat) =>
        stat["drops"]!.AsObject().Where(drop => (long)drop.Value! != 0).ToDictionary(drop => drop.Key, drop => (long)drop.Value!);
}
