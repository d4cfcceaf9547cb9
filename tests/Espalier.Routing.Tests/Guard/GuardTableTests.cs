using Espalier.Routing.Guard;
using Espalier.Routing.Tests.Hosts;
using Espalier.Testing;
using static Espalier.Routing.Tests.Hosts.Build;
using static Espalier.Routing.Tests.Hosts.GuardedHost;

namespace Espalier.Routing.Tests.Guard;

/// <summary>The guard's table: removed by others, left by a crash, refused, switched off, and of ten thousand policies.</summary>
public sealed class GuardTableTests
{
    [Fact]
    public void Table_RemovedBySomebodyElse_IsMadeAnewWithTheNextChange()
    {
        using var host = Make();
        host.Add(In("10.2.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        host.Host.Exec("nft", "flush ruleset");
        AssertArrives(host, "10.2.0.5");

        host.Add(In("10.4.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();

        AssertDropped(host, "10.2.0.5");
        Assert.True(host.Controller.Guard.Clear.IsActive);
    }

    // Where nobody can read the counters, or they begin anew, what was counted stays.
    [Fact]
    public void Counters_TableRemovedBySomebodyElse_DoNotGoBack()
    {
        using var host = Make();
        host.Add(In("10.2.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        AssertDropped(host, "10.2.0.5");
        AssertCounters(new GuardCounters(1, 0, 0), host);

        host.Host.Exec("nft", "flush ruleset");
        AssertCounters(new GuardCounters(1, 0, 0), host);

        host.Add(In("10.4.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        AssertCounters(new GuardCounters(1, 0, 0), host);
        AssertDropped(host, "10.2.0.5");
        AssertCounters(new GuardCounters(2, 0, 0), host);
    }

    // What a refused write held is not taken for written: the next one, or the guard by itself, writes all.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Write_RefusedOnce_IsMadeUpFor(bool byTheNextChange)
    {
        using var host = new RoutedHost(start: false);
        host.Host.Ip("tuntap add esp0 mode tun");
        using var folder = new TemporaryFolder("nft");
        string program = folder.FilePath("nft"), refusal = folder.FilePath("refuse");
        File.WriteAllText(program, $"#!/bin/sh\n[ -e {refusal} ] && {{ echo Error: refused; exit 1; }}\nexec nft \"$@\"\n");
        Command.Run("chmod", "755", program);
        using var guard = host.Host.Run(() => new ClearGuard(host.Options, static _ => { }, nft: program));
        var patience = TimeSpan.FromSeconds(60);
        Guard("10.2.0.0/16");
        Assert.True(guard.Flush(patience));
        Assert.Equal("on", guard.Status.Clear.ToString());

        File.WriteAllText(refusal, "");
        Guard("10.3.0.0/16");
        Assert.True(guard.Flush(patience));
        Assert.Equal("off: nft: refused", guard.Status.Clear.ToString());

        File.Delete(refusal);
        if (byTheNextChange)
        {
            Guard("10.4.0.0/16");
            Assert.True(guard.Flush(patience));
        }

        Wait.Until(() => guard.Status.Clear.IsActive, () => $"the guard is on again: {guard.Status.Clear}");
        string table = host.Host.Exec("nft", "list", "table", "inet", "espalier_esp0");
        Assert.Contains("10.2.0.0", table, StringComparison.Ordinal);
        Assert.Contains("10.3.0.0", table, StringComparison.Ordinal);

        void Guard(string source)
        {
            var policy = In(source, "192.168.0.1/32");
            using (host.Database.Freeze())
            {
                host.Database.Spd.AddOrReplace(policy);
            }

            guard.Add(new GuardPolicy(policy));
        }
    }

    // What the guard looks at where notifications were lost.
    [Theory]
    [InlineData("add table inet espalier_esp0 { flags dormant; }")]
    [InlineData("add table arp espalier_esp0 { flags dormant; }")]
    [InlineData("delete table inet espalier_esp0")]
    [InlineData("delete table arp espalier_esp0")]
    public void Verify_TableOutOfForce_IsMadeAnew(string change)
    {
        using var host = new RoutedHost(start: false);
        host.Host.Ip("tuntap add esp0 mode tun");
        List<int> told = [];
        using var guard = host.Host.Run(() => new ClearGuard(host.Options, static _ => { }, (_, times) => told.Add(times)));
        var patience = TimeSpan.FromSeconds(60);
        Assert.True(guard.Flush(patience));
        string tables = host.Host.Exec("nft", "list", "ruleset");

        guard.Verify();
        Assert.True(guard.Flush(patience));
        Assert.Empty(told);

        host.Host.Exec("nft", change.Split(' '));
        guard.Verify();
        Assert.True(guard.Flush(patience));
        Assert.Equal(tables.Split('\n').Order(StringComparer.Ordinal), host.Host.Exec("nft", "list", "ruleset").Split('\n').Order(StringComparer.Ordinal));
        Assert.Equal([1], told);
    }

    [Fact]
    public void Elements_TenThousandPolicies_AreOneRule()
    {
        using var host = Make();
        host.Add(Enumerable.Range(0, 10_000).Select(i => In($"10.{i >> 8}.{i & 255}.0/24", "192.168.0.1/32")));
        host.FlushGuard();

        string chain = host.Host.Exec("nft", "list", "chain", "inet", "espalier_esp0", "in_4");
        Assert.Single(chain.Split('\n'), line => line.Contains("drop", StringComparison.Ordinal));
        AssertDropped(host, "10.2.0.5");

        host.Remove(host.Database.Spd.Policies.ToList());
        host.FlushGuard();
        AssertArrives(host, "10.2.0.5");
    }

    [Fact]
    public void Off_ByOption_SaysSo()
    {
        using var host = new RoutedHost(options: new RoutingOptions { TunnelName = "esp0", UseGuard = false });

        Assert.False(host.Controller.Guard.Clear.IsActive);
        Assert.Contains(host.Log, line => line.StartsWith("Warning: Packets in clear", StringComparison.Ordinal));
        Assert.Equal("", host.Host.Exec("nft", "list", "ruleset"));
    }

    [Fact]
    public void Leftover_OfACrash_IsReplaced()
    {
        using var host = Make();
        host.Add(In("10.2.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        host.Crash();
        AssertDropped(host, "10.2.0.5");

        host.Start();

        AssertArrives(host, "10.2.0.5");
    }
}
