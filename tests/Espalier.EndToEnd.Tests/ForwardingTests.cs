using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// Traffic between hosts behind the gateways (see <see cref="Gateways"/>) passes only as ESP, and ICMP errors find their way; all under strict rp_filter.
/// </summary>
public sealed class ForwardingTests(Gateways hosts) : IClassFixture<Gateways>, IDisposable
{
    private const string NotEsp = $"not (udp port 4500) and not (ip proto 50) and not (ip6 proto 50) and not arp and not ({PacketCapture.NeighborDiscovery})";

    /// <summary>Outer and inner family, encapsulation.</summary>
    public static TheoryData<bool, bool, bool> Combinations => HeaderTests.Combinations;

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Forwarded_PingTcpAndUdp_PassOnlyAsEsp(bool outer6, bool inner6, bool udp)
    {
        Requirements.Need("iperf3");
        hosts.Key(outer6, inner6, udp);
        using var clear = new PacketCapture(hosts.Router, "wanb", Clear(inner6));

        hosts.Ping(inner6, count: 3).Expect();
        hosts.Bob.Sh($"ping -n -c 3 -i 0.02 -W 2 {Gateways.AliceAt(inner6)}").Expect();
        using var server = hosts.Bob.Start($"iperf3 -s -B {Gateways.BobAt(inner6)}");
        TunnelTests.WaitForListener(hosts.Bob, 5201);
        hosts.Alice.Sh($"iperf3 -c {Gateways.BobAt(inner6)} -n 1M --connect-timeout 3000").Expect();
        string lost = hosts.Alice.Sh($"iperf3 -c {Gateways.BobAt(inner6)} -u -b 4M -l 1200 -n 120K --connect-timeout 3000").Expect().Output;
        server.Kill();
        server.WaitForExit();

        Assert.Contains("(0%)", lost, StringComparison.Ordinal);
        clear.Finish();
        Assert.Empty(clear.Frames());
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Traceroute_ThroughTheTunnel_NamesEveryHop(bool outer6, bool inner6)
    {
        hosts.Key(outer6, inner6);
        using var clear = new PacketCapture(hosts.Router, "wanb", Clear(inner6));

        string first = hosts.Ping(inner6, "-t 1").Output, second = hosts.Ping(inner6, "-t 2").Output;
        hosts.Ping(inner6, "-t 3").Expect();

        Assert.Contains($"From {(inner6 ? "fd01::1" : "10.1.0.1")} ", first, StringComparison.Ordinal);
        Assert.Contains($"From {(inner6 ? "fd02::1" : "10.2.0.1")} ", second, StringComparison.Ordinal);
        Assert.Matches("[Tt]ime to live exceeded|Hop limit", first);
        Assert.Matches("[Tt]ime to live exceeded|Hop limit", second);
        clear.Finish();
        Assert.Empty(clear.Frames());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TooBig_ForTheLinkBehindTheFarGateway_ReachesAliceThroughTheTunnel(bool inner6)
    {
        hosts.Key(inner6: inner6);
        hosts.Sun.Ip($"{(inner6 ? "-6 " : "")}route replace {Gateways.BobAt(inner6)} dev lanb mtu lock 1290");
        try
        {
            string answer = hosts.Ping(inner6, "-s 1340 -M do").Text;

            Assert.Contains("1290", answer, StringComparison.Ordinal);
            Assert.Contains($"From {(inner6 ? "fd02::1" : "10.2.0.1")} ", answer, StringComparison.Ordinal);
            hosts.Ping(inner6, string.Create(CultureInfo.InvariantCulture, $"-s {1290 - (inner6 ? 48 : 28)} -M do")).Expect();
        }
        finally
        {
            hosts.Sun.Ip($"{(inner6 ? "-6 " : "")}route del {Gateways.BobAt(inner6)} dev lanb");
        }
    }

    [Fact]
    public void PortUnreachable_FromBob_ReachesAlice()
    {
        hosts.Key();

        int refused = hosts.Alice.Run(() =>
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            socket.Connect(IPAddress.Parse("10.2.0.10"), 9);
            socket.ReceiveTimeout = 2000;
            socket.Send([1]);
            try
            {
                return socket.Receive(new byte[1]);
            }
            catch (SocketException failure)
            {
                return (int)failure.SocketErrorCode;
            }
        });

        Assert.Equal((int)SocketError.ConnectionRefused, refused);
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(false, false)]
    [InlineData(true, true)]
    [InlineData(true, false)]
    public void Selector_ThatCoversThePeersOwnAddress_Works(bool ipv6, bool udp)
    {
        // The outer packets match the selector too; the mark keeps them out of the TUN, also for the strict rp_filter on arrival.
        hosts.Key(ipv6, ipv6, udp);
        hosts.Protect(ipv6 ? "fec0:0:0:a::/64" : "192.168.0.0/24", ipv6 ? "fec0:0:0:b::/64" : "192.168.1.0/24", ipv6);
        using var clear = new PacketCapture(hosts.Router, "wana", Clear(ipv6));

        hosts.Moon.Sh($"ping -n -c 3 -i 0.02 -W 2 {Gateways.SunAt(ipv6)}").Expect();
        hosts.Sun.Sh($"ping -n -c 3 -i 0.02 -W 2 {Gateways.MoonAt(ipv6)}").Expect();
        hosts.Ping(ipv6, count: 2).Expect();

        clear.Finish();
        Assert.Empty(clear.Frames());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Clear_ForAProtectedNetwork_IsDroppedAtTheFarGateway(bool inner6)
    {
        // Moon forgets its policies and forwards in clear, from the answer on.
        hosts.Key(inner6: inner6);
        hosts.MoonDaemon.Exec("ip xfrm policy flush").Expect();
        long before = Guarded();

        Assert.NotEqual(0, hosts.Ping(inner6, count: 2, wait: "0.2").ExitCode);

        Assert.Equal(before + 2, Wait.ForValue(Guarded, before + 2));
    }

    public void Dispose() => hosts.Both("xfrm policy flush");

    private static string Clear(bool inner6) => $"{NotEsp} and ({(inner6 ? "ip6" : "ip")})";

    private long Guarded() => (long)hosts.SunDaemon.Stat()["kernelDrops"]!["guardForwarded"]!;
}
