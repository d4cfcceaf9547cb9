using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>A policy without SA: the packet is dropped and counted, and one ACQUIRE asks for the SA until the larval SA is filled or expires.</summary>
public sealed class AcquireTests
{
    [Fact]
    public void Policy_WithoutSa_OneAcquireUntilTheLarvalSaExpires()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        TwoHosts.Protect(hosts.MoonDaemon, "10.1.0.0/16", "10.2.0.0/16", "192.168.0.1", "192.168.0.2");
        // After the start, as charon does. Times are whole seconds of the clock, so the larval SA lives for one to two.
        hosts.Moon.Sysctl("core/xfrm_acq_expires", "2");
        using var monitor = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon).WaitUntilSubscribed(hosts.MoonDaemon);

        Ping(hosts, 5);
        monitor.Expect("acquire");
        string larval = hosts.MoonDaemon.Exec("ip -s xfrm state").Expect().Output;

        Assert.Equal(1, monitor.Count("acquire"));
        Assert.Contains("spi 0x00000000(0) reqid 1", larval, StringComparison.Ordinal);
        Assert.Contains("sel src 10.1.0.1/32 dst 10.2.0.1/32 proto icmp", larval, StringComparison.Ordinal);
        Assert.Contains("hard 2(sec)", larval, StringComparison.Ordinal);
        var stat = hosts.MoonDaemon.Stat();
        Assert.Equal(5, (long)stat["drops"]!["OutboundNoSa"]!);
        Assert.Equal(5, (long)stat["xfrmStatistics"]!["XfrmOutNoStates"]!);
        Assert.Equal(1, (long)stat["controlSocket"]!["acquires"]!);

        monitor.Expect("\thard 1");
        Assert.Equal("", hosts.MoonDaemon.Exec("ip xfrm state").Expect().Output.Trim());
        Ping(hosts, 2);
        monitor.Expect("acquire", 2);
        Assert.Equal(2, monitor.Count("acquire"));
        Assert.Equal(7, hosts.MoonDaemon.Drops("OutboundNoSa"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Policies_SeveralWithoutSa_OneAcquireForEachTemplate(bool outer6)
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        string near = TwoHosts.Outer(1, outer6), far = TwoHosts.Outer(2, outer6);
        for (int n = 1; n <= 3; n++)
        {
            hosts.MoonDaemon.Exec($"ip xfrm policy add src fd01::/64 dst fd02:{n}::/64 dir out tmpl src {near} dst {far} proto esp reqid {n} mode tunnel").Expect();
        }

        using var monitor = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon).WaitUntilSubscribed(hosts.MoonDaemon);
        for (int n = 1; n <= 3; n++)
        {
            hosts.Moon.Sh($"ping -c 3 -i 0.02 -W 0.2 -I fd01::1 fd02:{n}::1");
        }

        monitor.Expect("acquire", 3);
        Assert.Equal(3, monitor.Count("acquire"));
        Assert.Equal(3, monitor.Count($"src {near} dst {far}"));
        Assert.Equal(9, hosts.MoonDaemon.Drops("OutboundNoSa"));
        Assert.Equal("SAD count 3", hosts.MoonDaemon.Exec("ip xfrm state count").Expect().Output.Trim());
    }

    [Fact]
    public void Monitor_OfReplayStates_IsToldWhileTrafficFlows()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        using var monitor = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon, "xfrm monitor aevent");

        Assert.True(Wait.For(() =>
        {
            hosts.Moon.Sh("ping -c 10 -i 0.01 -W 1 -I 10.1.0.1 10.2.0.1").Expect();
            return monitor.Text.Contains("Async event", StringComparison.Ordinal);
        }), monitor.Text);
    }

    [Fact]
    public void Policy_WithoutListener_NoLarvalSa()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        TwoHosts.Protect(hosts.MoonDaemon, "10.1.0.0/16", "10.2.0.0/16", "192.168.0.1", "192.168.0.2");

        Ping(hosts, 2);

        Assert.Equal("", hosts.MoonDaemon.Exec("ip xfrm state").Expect().Output.Trim());
        Assert.Equal(2, hosts.MoonDaemon.Drops("OutboundNoSa"));
    }

    [Fact]
    public void Acquire_AnsweredWithItsNumber_ReplacesTheLarvalSaAndTrafficFlows()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        TwoHosts.Protect(hosts.MoonDaemon, "10.1.0.0/16", "10.2.0.0/16", "192.168.0.1", "192.168.0.2");
        TwoHosts.Protect(hosts.SunDaemon, "10.2.0.0/16", "10.1.0.0/16", "192.168.0.2", "192.168.0.1");
        using var monitor = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon, "-s xfrm monitor").WaitUntilSubscribed(hosts.MoonDaemon);
        Ping(hosts, 1);
        monitor.Expect("seq 0x");
        string sequence = monitor.Text[(monitor.Text.IndexOf("seq 0x", StringComparison.Ordinal) + 6)..].Split(' ')[0];

        // iproute2 prints the number in decimal digits behind 0x.
        hosts.Associate(outer6: false, udp: true, extra: $"seq {sequence.TrimStart('0')} replay-window 128");

        Assert.DoesNotContain("spi 0x00000000", hosts.MoonDaemon.Exec("ip xfrm state").Expect().Output, StringComparison.Ordinal);
        hosts.Moon.Sh("ping -c 2 -i 0.02 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
        Assert.Equal(1, monitor.Count("acquire"));
    }

    [Fact]
    public void Monitor_OfOneGroup_ShowsThatGroupOnly()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        TwoHosts.Protect(hosts.MoonDaemon, "10.1.0.0/16", "10.2.0.0/16", "192.168.0.1", "192.168.0.2");
        using var acquires = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon, "xfrm monitor acquire");
        using var policies = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon, "xfrm monitor policy");

        Assert.True(Wait.For(() =>
        {
            Ping(hosts, 1);
            hosts.MoonDaemon.Exec("ip xfrm state flush");
            hosts.MoonDaemon.Exec("ip xfrm policy update src 10.8.0.0/16 dst 10.9.0.0/16 dir out action block").Expect();
            return acquires.Text.Contains("acquire", StringComparison.Ordinal) && policies.Text.Contains("10.9.0.0/16", StringComparison.Ordinal);
        }));

        Assert.DoesNotContain("10.9.0.0/16", acquires.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("Flushed", acquires.Text, StringComparison.Ordinal);
        Assert.DoesNotContain("acquire", policies.Text, StringComparison.Ordinal);
    }

    private static void Ping(TwoHosts hosts, int count) => hosts.Moon.Sh($"ping -c {count} -i 0.02 -W 0.2 -I 10.1.0.1 10.2.0.1");
}
