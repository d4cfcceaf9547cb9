using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Ping, TCP and UDP through the published daemon on both hosts, in every combination of families and encapsulation.</summary>
public sealed class TunnelTests
{
    public static TheoryData<bool, bool, bool> Combinations { get; } = new()
    {
        { false, false, true }, { false, false, false }, { false, true, true }, { false, true, false },
        { true, false, true }, { true, false, false }, { true, true, true }, { true, true, false },
    };

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Tunnel_EveryFamilyAndEncapsulation_CarriesPingTcpAndUdp(bool outer6, bool inner6, bool udp)
    {
        Requirements.Need("ping", "iperf3");
        using var hosts = new TwoHosts();
        hosts.Key(outer6, inner6, udp);
        string moon = TwoHosts.Inner(1, inner6), sun = TwoHosts.Inner(2, inner6);

        hosts.Moon.Sh($"ping -c 3 -i 0.05 -W 2 -I {moon} {sun}").Expect();
        hosts.Sun.Sh($"ping -c 3 -i 0.05 -W 2 -I {sun} {moon}").Expect();

        using var server = hosts.Sun.Start($"iperf3 -s -B {sun} --one-off");
        WaitForListener(hosts.Sun, 5201);
        hosts.Moon.Sh($"iperf3 -c {sun} -B {moon} -n 4M --connect-timeout 3000").Expect();
        Assert.True(server.WaitForExit(TimeSpan.FromSeconds(10)));

        using var udpServer = hosts.Sun.Start($"iperf3 -s -B {sun} --one-off");
        WaitForListener(hosts.Sun, 5201);
        var result = hosts.Moon.Sh($"iperf3 -c {sun} -B {moon} -u -b 4M -l 1200 -t 1 --connect-timeout 3000").Expect();
        Assert.Contains("(0%)", result.Output, StringComparison.Ordinal);
        Assert.True(udpServer.WaitForExit(TimeSpan.FromSeconds(10)));

        var traffic = hosts.MoonDaemon.Stat()["traffic"]!;
        Assert.True((long)traffic["packetsOut"]! > 100);
        Assert.True((long)traffic["packetsIn"]! > 10);
    }

    internal static void WaitForListener(NetworkNamespace host, int port) =>
        Wait.Until(() => host.Sh($"ss -Hltn sport = :{port}").Expect().Output.Trim().Length > 0, $"something listens on port {port}");
}
