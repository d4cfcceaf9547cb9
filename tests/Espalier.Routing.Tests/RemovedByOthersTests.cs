using Espalier.Routing.Tests.Hosts;
using static Espalier.Routing.Tests.Hosts.Build;
using static Espalier.Routing.Tests.Hosts.LocalTraffic;

namespace Espalier.Routing.Tests;

/// <summary>
/// Rules, routes and the guard that another program takes away, as systemd-networkd does with what it does not know and firewalls do when they are loaded, come back without a change of
/// policies. The hosts are drawn at <see cref="RoutedHost"/>.
/// </summary>
public sealed class RemovedByOthersTests
{
    [Theory]
    [InlineData("-4")]
    [InlineData("-6")]
    public void Rules_RemovedByAnother_AreBack(string family)
    {
        using var host = Make();
        var rules = host.RuleLines(family);

        host.Host.Ip($"{family} rule flush");
        host.Host.Ip($"{family} rule add pref 32766 table main");

        Assert.True(host.ProcessUntil(() => host.RuleLines(family).Order().SequenceEqual(rules.Order())), string.Join('\n', host.RuleLines(family)));
        AssertCaught(host);
        AssertToldOnce(host, $"rules ({rules.Count}) or routes (0)");
    }

    [Theory]
    [InlineData("-4")]
    [InlineData("-6")]
    public void Routes_RemovedByAnother_AreBack(string family)
    {
        using var host = Make();
        string[] tables = family == "-4" ? ["4550", "70086", "135622"] : ["4550", "70086"];
        string[] routes = [.. tables.Select(table => host.Routes(table, family))];
        Assert.DoesNotContain("", routes);

        foreach (string table in tables)
        {
            host.Host.Ip($"{family} route flush table {table}");
            Assert.Equal("", host.Routes(table, family));
        }

        Assert.True(host.ProcessUntil(() => tables.Select(table => host.Routes(table, family)).SequenceEqual(routes)), host.Routes("4550", family));
        AssertCaught(host);
        AssertToldOnce(host, "rules (0) or routes (5)");
    }

    [Fact]
    public void RulesAndRoutes_RemovedByEspalierItself_StayAway()
    {
        using var host = Make();

        host.Remove(host.Database.Spd.Policies.ToList());
        Assert.True(host.ProcessUntil(() => host.Routes("4550") == "" && host.Routes("4550", "-6") == ""));

        Assert.DoesNotContain(host.Log, line => line.Contains("Another program", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("flush ruleset")]
    [InlineData("delete table inet espalier_esp0")]
    [InlineData("delete table arp espalier_esp0")]
    public void Guard_RemovedByAnother_IsBack(string removal)
    {
        using var host = Make();
        host.FlushGuard();
        string tables = Tables(host);

        host.Host.Exec("nft", removal.Split(' '));
        Assert.NotEqual(tables, Tables(host));

        Assert.True(host.ProcessUntil(() => Tables(host) == tables && host.Controller.Guard.Clear.IsActive), Tables(host));
        Assert.Single(host.Log, line => line.Contains("another program removed the nftables table", StringComparison.Ordinal) && line.Contains("not dropped", StringComparison.Ordinal));
    }

    [Fact]
    public void Guard_OfAnotherRemoved_IsLeft()
    {
        using var host = Make();
        host.FlushGuard();
        host.Host.Exec("nft", "add table inet other");
        var before = host.Controller.Guard;

        host.Host.Exec("nft", "delete table inet other");
        Assert.True(host.ProcessUntil(() => host.Controller.FlushGuard(TimeSpan.FromSeconds(60))));

        Assert.Same(before, host.Controller.Guard);
    }

    private static RoutedHost Make()
    {
        var host = new RoutedHost();
        host.Add(Out("192.168.0.1/32", "10.2.0.0/16"), Out("fd00:9::1/128", "fd00:2::/64"), In("10.2.0.0/16", "192.168.0.1/32"));
        return host;
    }

    private static void AssertCaught(RoutedHost host)
    {
        SendUnconnected(host, "10.2.0.5", 4001);
        host.AssertCaught("10.2.0.5", "192.168.0.1", packet => packet.DestinationPort == 4001);
        SendUnconnected(host, "fd00:2::5", 4002);
        host.AssertCaught("fd00:2::5", "fd00:9::1", packet => packet.DestinationPort == 4002);
    }

    private static void AssertToldOnce(RoutedHost host, string what) =>
        Assert.Contains(what, Assert.Single(host.Log, line => line.Contains("Another program", StringComparison.Ordinal)), StringComparison.Ordinal);

    // Chains that come back may stand in another order.
    private static string Tables(RoutedHost host) => string.Join('\n', host.Host.Exec("nft", "--stateless", "list", "ruleset").Split('\n').Order(StringComparer.Ordinal));
}
