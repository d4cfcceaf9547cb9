using Espalier.Routing.Tests.Hosts;
using static Espalier.Routing.Tests.Hosts.Build;
using static Espalier.Routing.Tests.Hosts.LocalTraffic;

namespace Espalier.Routing.Tests;

/// <summary>
/// Rules, routes and the guard that another program takes away, as systemd-networkd does with what it does not know and firewalls do when they are loaded, come back without a change of
/// policies; so does the guard that another program changes. The hosts are drawn at <see cref="RoutedHost"/>.
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
    [InlineData("flush table inet espalier_esp0")]
    [InlineData("delete chain inet espalier_esp0 inbound")]
    [InlineData("delete chain inet espalier_esp0 arrived_6")]
    [InlineData("flush chain inet espalier_esp0 outbound")]
    [InlineData("flush chain inet espalier_esp0 in_4")]
    [InlineData("flush chain arp espalier_esp0 arrive")]
    public void Guard_RemovedByAnother_IsBack(string removal)
    {
        using var host = Make();
        host.FlushGuard();
        string tables = Tables(host);

        host.Host.Exec("nft", removal.Split(' '));
        Assert.NotEqual(tables, Tables(host));

        Assert.True(host.ProcessUntil(() => Tables(host) == tables && host.Controller.Guard.Clear.IsActive), Tables(host));
        Assert.True(host.ProcessUntil(() => IsTold(host, "Another program")));
        AssertToldOnce(host, "nftables of Espalier 1 times");
    }

    [Theory]
    [InlineData("add table inet espalier_esp0 { flags dormant; }")]
    [InlineData("add table arp espalier_esp0 { flags dormant; }")]
    [InlineData("insert rule inet espalier_esp0 inbound accept")]
    [InlineData("insert rule inet espalier_esp0 in_4 return")]
    [InlineData("add rule inet espalier_esp0 exempt accept")]
    [InlineData("insert rule arp espalier_esp0 arrive drop")]
    [InlineData("add chain inet espalier_esp0 outbound { policy drop; }")]
    [InlineData("add chain inet espalier_esp0 other { type filter hook input priority 0; policy drop; }")]
    [InlineData("add set inet espalier_esp0 other { type ipv4_addr; }")]
    [InlineData("add counter inet espalier_esp0 other")]
    public void Guard_ChangedByAnother_IsAsItWas(string change)
    {
        using var host = Make();
        host.FlushGuard();
        string tables = Tables(host);

        host.Host.Exec("nft", change.Split(' '));
        Assert.NotEqual(tables, Tables(host));

        Assert.True(host.ProcessUntil(() => Tables(host) == tables && host.Controller.Guard.Clear.IsActive), Tables(host));
        Assert.True(host.ProcessUntil(() => IsTold(host, "Another program")));
        AssertToldOnce(host, "changed nftables of Espalier 1 times");
    }

    // An accept of another in a loop is not answered with a line each time.
    [Fact]
    public void Guard_ChangedAgainAndAgain_HoldsAndIsToldOnce()
    {
        using var host = GuardedHost.Make();
        host.Add(In("10.2.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        string tables = Tables(host);

        foreach (string change in (ReadOnlySpan<string>)["add table inet espalier_esp0 { flags dormant; }", "insert rule inet espalier_esp0 inbound accept", "insert rule inet espalier_esp0 in_4 accept"])
        {
            host.Host.Exec("nft", change.Split(' '));
            GuardedHost.AssertArrives(host, "10.2.0.5");
            Assert.True(host.ProcessUntil(() => Tables(host) == tables), Tables(host));
            GuardedHost.AssertDropped(host, "10.2.0.5");
        }

        Assert.True(host.ProcessUntil(() => IsTold(host, "changed nftables")));
        Assert.Single(host.Log, line => line.Contains("Another program", StringComparison.Ordinal));
    }

    [Fact]
    public void Guard_ElementAddedByAnother_IsGone()
    {
        using var host = Make();
        host.FlushGuard();
        string tables = Tables(host);
        string set = Assert.Single(host.Host.Exec("nft", "--stateless", "list", "chain", "inet", "espalier_esp0", "in_4").Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries), word => word.StartsWith('@'));
        string key = host.Host.Exec("nft", "list", "set", "inet", "espalier_esp0", set[1..]);
        string element = key[(key.IndexOf("elements = {", StringComparison.Ordinal) + 12)..key.IndexOf('}', StringComparison.Ordinal)].Trim();

        host.Host.Exec("nft", "add", "element", "inet", "espalier_esp0", set[1..], "{", element.Replace("10.2.0.0", "10.9.0.0", StringComparison.Ordinal), "}");
        Assert.NotEqual(tables, Tables(host));

        Assert.True(host.ProcessUntil(() => Tables(host) == tables), Tables(host));
    }

    [Fact]
    public void Guard_ElementRemovedByAnother_IsBack()
    {
        using var host = Make();
        host.FlushGuard();
        string tables = Tables(host);
        string set = Assert.Single(host.Host.Exec("nft", "--stateless", "list", "chain", "inet", "espalier_esp0", "in_4").Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries), word => word.StartsWith('@'));

        host.Host.Exec("nft", "flush", "set", "inet", "espalier_esp0", set[1..]);
        Assert.NotEqual(tables, Tables(host));

        Assert.True(host.ProcessUntil(() => Tables(host) == tables), Tables(host));
    }

    [Fact]
    public void Guard_WrittenByEspalierItself_IsNotTakenForAnother()
    {
        using var host = Make();
        host.FlushGuard();
        for (int i = 0; i < 5; i++)
        {
            var policy = In($"10.{i + 3}.0.0/16", "192.168.0.1/32");
            host.Add(policy);
            host.FlushGuard();
            host.Remove(policy);
            host.FlushGuard();
        }

        // What was removed last has been told before this table was.
        host.Host.Exec("nft", "delete table arp espalier_esp0");
        Assert.True(host.ProcessUntil(() => IsTold(host, "Another program")));
        AssertToldOnce(host, "1 times");
    }

    [Fact]
    public void RulesAndGuard_RemovedAgainAndAgain_AreBackAndToldOnce()
    {
        using var host = Make();
        host.FlushGuard();
        var rules = host.RuleLines("-4");
        string tables = Tables(host);

        for (int i = 0; i < 3; i++)
        {
            host.Host.Ip("-4 rule del pref 211");
            Assert.True(host.ProcessUntil(() => host.RuleLines("-4").Order().SequenceEqual(rules.Order())), string.Join('\n', host.RuleLines("-4")));
            host.Host.Exec("nft", "flush", "ruleset");
            Assert.True(host.ProcessUntil(() => Tables(host) == tables), Tables(host));
        }

        Assert.True(host.ProcessUntil(() => IsTold(host, "changed nftables")));
        Assert.Single(host.Log, line => line.Contains("Another program removed routing rules", StringComparison.Ordinal));
        Assert.Single(host.Log, line => line.Contains("Another program removed or changed nftables", StringComparison.Ordinal));
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

    private static bool IsTold(RoutedHost host, string what) => host.Log.Any(line => line.Contains(what, StringComparison.Ordinal));

    private static void AssertToldOnce(RoutedHost host, string what) =>
        Assert.Contains(what, Assert.Single(host.Log, line => line.Contains("Another program", StringComparison.Ordinal)), StringComparison.Ordinal);

    // Chains that come back may stand in another order.
    private static string Tables(RoutedHost host) => string.Join('\n', host.Host.Exec("nft", "--stateless", "list", "ruleset").Split('\n').Order(StringComparer.Ordinal));
}
