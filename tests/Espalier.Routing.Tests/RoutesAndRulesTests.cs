using Espalier.Ipsec.Spd;
using Espalier.Routing.Tests.Hosts;
using Espalier.Wire.Packets;
using static Espalier.Routing.Tests.Hosts.Build;
using static Espalier.Routing.Tests.Hosts.LocalTraffic;

namespace Espalier.Routing.Tests;

/// <summary>What stands in tables and rules: after changes, beside a second instance, after the end. The hosts are drawn at <see cref="RoutedHost"/>.</summary>
public sealed class RoutesAndRulesTests
{
    [Fact]
    public void Crash_NextStart_RemovesWhatWasLeft()
    {
        using var host = new RoutedHost();
        host.Add(Out("192.168.0.1/32", "10.2.0.0/16"), Out("fd00:9::1/128", "fd00:2::/64"));
        host.Crash();
        Assert.Contains("unreachable", host.Routes("4550"), StringComparison.Ordinal);

        host.Start();

        Assert.Equal("", host.Routes("4550"));
        Assert.Equal("", host.Routes("4550", "-6"));
        Assert.Equal(6, host.RuleLines("-4").Count);
        Assert.Contains(host.Log, line => line.Contains("earlier run", StringComparison.Ordinal));
    }

    [Fact]
    public void Stop_RulesRoutesGuardAndSettings_AreGone()
    {
        using var host = new RoutedHost(start: false);
        string rules = host.Host.Ip("rule") + host.Host.Ip("-6 rule");
        host.Start();
        host.Add(Out("192.168.0.1/32", "10.2.0.0/16"), Out("fd00:9::1/128", "::/0"), In("10.2.0.0/16", "192.168.0.1/32"));

        host.Host.Run(host.Controller.Stop);

        Assert.Equal(rules, host.Host.Ip("rule") + host.Host.Ip("-6 rule"));
        foreach (string table in new[] { "4550", "70086", "135622" })
        {
            Assert.Equal("", host.Routes(table));
            Assert.Equal("", host.Routes(table, "-6"));
        }

        Assert.Equal("", host.Host.Exec("nft", "list", "ruleset"));
        Assert.Equal("0", host.Host.Run(() => File.ReadAllText("/proc/sys/net/ipv4/conf/all/src_valid_mark").Trim()));
    }

    [Fact]
    public void Rules_TenThousandPolicies_AreAsManyAsForTen()
    {
        using var host = new RoutedHost();
        host.Add(Many(10));
        int few = host.RuleLines("-4").Count;

        host.Add(Many(10_000).Skip(10));

        Assert.Equal(few, host.RuleLines("-4").Count);
        Assert.Equal(20_000, host.Routes("4550").Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Equal(10_000, host.Controller.RoutedPrefixes);
        Assert.Equal(0, host.Controller.RefusedRoutes);

        host.Remove(host.Database.Spd.Policies.ToList());
        Assert.Equal("", host.Routes("4550"));
        Assert.Equal(6, host.RuleLines("-4").Count);
    }

    [Fact]
    public void Prefix_SharedByPolicies_StaysUntilTheLastGoes()
    {
        using var host = new RoutedHost();
        var web = Policy(PolicyDirection.Out, Selector("10.1.0.0/16", "10.2.0.0/16", IpProtocol.Tcp, 0, 0, 80, 0xffff));
        var other = Out("10.5.0.0/16", "10.2.0.0/16");
        host.Add(web, other);

        host.Remove(web);
        Assert.Contains("10.2.0.0/16 dev esp0", host.Routes("4550"), StringComparison.Ordinal);

        host.Remove(other);
        Assert.Equal("", host.Routes("4550"));
    }

    [Fact]
    public void Address_ComesAndGoes_MovesTheSource()
    {
        using var host = new RoutedHost();
        host.Host.LinkTo(host.Peer, "eth1", [], []);
        host.Add(Out("10.3.0.0/24", "10.2.0.0/16"), Out("fd00:3::/64", "fd00:2::/64"));
        Assert.DoesNotContain("src", host.Routes("4550"), StringComparison.Ordinal);
        Assert.Equal("", host.Routes("70086"));

        foreach (string last in new[] { "1", "2" })
        {
            host.Host.Ip($"address add 10.3.0.{last}/32 dev eth1");
            host.Host.Ip($"address add fd00:3::{last}/128 dev eth1 nodad");
            Assert.True(host.ProcessUntil(() => host.Routes("70086").Contains($"10.2.0.0/16 dev esp0 proto 69 src 10.3.0.{last}", StringComparison.Ordinal)
                && host.Routes("70086", "-6").Contains($"src fd00:3::{last}", StringComparison.Ordinal)), host.Routes("70086"));
            Assert.Contains($"src 10.3.0.{last}", host.Routes("4550"), StringComparison.Ordinal);
            host.Host.Ip($"address del 10.3.0.{last}/32 dev eth1");
            host.Host.Ip($"address del fd00:3::{last}/128 dev eth1");
        }

        Assert.True(host.ProcessUntil(() => host.Routes("70086") == "" && host.Routes("70086", "-6") == ""));
        Assert.Contains("10.2.0.0/16 dev esp0", host.Routes("4550"), StringComparison.Ordinal);
    }

    [Fact]
    public void Replace_Policy_LeavesNoGapInTheRoutes()
    {
        using var host = new RoutedHost();
        host.Add(Out("192.168.0.1/32", "10.2.0.0/16"));
        using var monitor = new RouteEvents(host.Host);

        for (int i = 0; i < 20; i++)
        {
            host.Add(Out("192.168.0.1/32", "10.2.0.0/16"));
        }

        Assert.DoesNotContain(monitor.Finish(), line => line.Contains("Deleted", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    public void Table_OfTheKernel_IsRefused(uint above)
    {
        var refused = Assert.Throws<Espalier.Io.DeviceException>(() =>
        {
            using var host = new RoutedHost(options: new RoutingOptions { TunnelName = "esp0", Table = 253 + above });
        });

        Assert.Contains("kernel's own", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TwoInstances_OneStops_TheOtherStands()
    {
        using var host = new RoutedHost();
        host.Add(Out("192.168.0.1/32", "10.2.0.0/16"));
        using (var second = new SecondInstance(host, new RoutingOptions { TunnelName = "esp1", Table = 4551, Mark = 0x4551 }))
        {
            second.Add(Out("192.168.0.1/32", "10.5.0.0/16"));
            Assert.Contains("10.5.0.0/16 dev esp1", host.Routes("4551"), StringComparison.Ordinal);
        }

        Assert.Equal("", host.Routes("4551"));
        SendUnconnected(host, "10.2.0.5", 4001);
        host.AssertCaught("10.2.0.5", "192.168.0.1", packet => packet.DestinationPort == 4001);
        Assert.Equal("1", host.Host.Run(() => File.ReadAllText("/proc/sys/net/ipv4/conf/all/src_valid_mark").Trim()));
        Assert.Equal(7, host.RuleLines("-4").Count);
    }

    [Fact]
    public void TwoInstances_OneTable_TheSecondIsRefused()
    {
        using var host = new RoutedHost();
        host.Add(Out("192.168.0.1/32", "10.2.0.0/16"));

        var refused = Assert.Throws<Espalier.Io.DeviceException>(() => new SecondInstance(host, new RoutingOptions { TunnelName = "esp1" }));

        Assert.Contains("esp0", refused.Message, StringComparison.Ordinal);
        Assert.Contains("10.2.0.0/16 dev esp0", host.Routes("4550"), StringComparison.Ordinal);
    }

    private static IEnumerable<SecurityPolicy> Many(int count) =>
        Enumerable.Range(0, count).Select(i => Out($"10.{i >> 8}.{i & 255}.0/24", $"172.{16 + (i >> 12)}.{(i >> 4) & 255}.{(i & 15) << 4}/28"));
}
