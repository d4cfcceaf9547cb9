using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Real `ip xfrm` through `espalier exec`: what it shows, what monitor prints, who is refused and what is not supported.</summary>
public sealed class ControlTests
{
    [Fact]
    public void IpXfrm_StateAndPolicy_ShowWhatWasAdded()
    {
        Requirements.Need();
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true, $"aead rfc4106(gcm(aes)) 0x{new string('a', 40)} 128");

        string state = hosts.MoonDaemon.Exec("ip xfrm state").Expect().Output;
        string policy = hosts.MoonDaemon.Exec("ip xfrm policy").Expect().Output;

        Assert.Contains("src 192.168.0.1 dst 192.168.0.2", state, StringComparison.Ordinal);
        Assert.Contains("proto esp spi 0x10000001 reqid 1 mode tunnel", state, StringComparison.Ordinal);
        Assert.Contains($"aead rfc4106(gcm(aes)) 0x{new string('a', 40)} 128", state, StringComparison.Ordinal);
        Assert.Contains("encap type espinudp sport 4500 dport 4500 addr 0.0.0.0", state, StringComparison.Ordinal);
        Assert.Contains("src 10.1.0.0/16 dst 10.2.0.0/16", policy, StringComparison.Ordinal);
        Assert.Equal(3, policy.Split("tmpl src", StringSplitOptions.None).Length - 1);
    }

    [Theory]
    [InlineData("mode transport aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128", "transport")]
    [InlineData("mode tunnel mark 5 mask 0xff aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128", "mark")]
    [InlineData("mode tunnel if_id 7 aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128", "if_id")]
    [InlineData("mode tunnel enc ecb(cipher_null) 0x auth digest_null 0x", "null")]
    [InlineData("mode tunnel aead rfc4106(gcm(aes)) 0x01020304 128", "key")]
    [InlineData("mode tunnel enc cbc(serpent) 0x0102030405060708090a0b0c0d0e0f10 auth hmac(sha1) 0x0102030405060708090a0b0c0d0e0f1011121314", "serpent")]
    public void IpXfrm_WhatIsNotSupported_IsRefusedByName(string words, string named)
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);

        var added = daemon.Exec($"ip xfrm state add src 192.168.0.1 dst 192.168.0.2 proto esp spi 0x100 {words}");

        Assert.NotEqual(0, added.ExitCode);
        Assert.Contains(named, added.Error, StringComparison.OrdinalIgnoreCase);
        Assert.Equal("", daemon.Exec("ip xfrm state").Expect().Output.Trim());
    }

    [Fact]
    public void IpXfrmMonitor_AcquireAndExpire_AreShown()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        TwoHosts.Protect(hosts.MoonDaemon, "10.1.0.0/16", "10.2.0.0/16", "192.168.0.1", "192.168.0.2");
        using var monitor = new XfrmMonitor(hosts.Moon, hosts.MoonDaemon).WaitUntilSubscribed(hosts.MoonDaemon);

        hosts.Moon.Sh("ping -c 3 -i 0.05 -W 1 -I 10.1.0.1 10.2.0.1");
        hosts.Associate(outer6: false, udp: true, extra: "replay-window 32 limit packet-soft 3 limit packet-hard 6");
        TwoHosts.Protect(hosts.SunDaemon, "10.2.0.0/16", "10.1.0.0/16", "192.168.0.2", "192.168.0.1");
        hosts.Moon.Sh("ping -c 8 -i 0.05 -W 1 -I 10.1.0.1 10.2.0.1");

        // An ACQUIRE for the three first packets, the limits in their order, and one more ACQUIRE after the hard limit took the SA away.
        monitor.Expect("acquire", times: 2);
        monitor.Expect("hard 0");
        monitor.Expect("hard 1");
        Assert.Contains("expired src", monitor.Text, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(2, monitor.Count("acquire"));
        Assert.True(hosts.MoonDaemon.Drops("OutboundNoSa") >= 3);
        Assert.DoesNotContain("spi 0x10000001", hosts.MoonDaemon.Exec("ip xfrm state").Expect().Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Exec_ClientInAnotherNamespace_IsRefusedWithTheReason()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var other = NetworkNamespace.Create("other");
        using var daemon = EspalierProgram.Start(host);

        var result = other.Sh($"{EspalierProgram.Path} exec --control {daemon.Control} -- ip xfrm state");

        Assert.NotEqual(0, result.ExitCode);
        Assert.Contains("namespace", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Exec_UserNotAdmitted_IsRefusedAndAdmittedByOption()
    {
        Requirements.Need("setpriv");
        using var host = NetworkNamespace.Create("solo");
        using (var daemon = EspalierProgram.Start(host))
        {
            var refused = host.Sh($"setpriv --reuid 65534 --regid 65534 --clear-groups {EspalierProgram.Path} exec --control {daemon.Control} -- ip xfrm state");
            Assert.NotEqual(0, refused.ExitCode);
            daemon.Stop();
        }

        using var open = EspalierProgram.Start(host, "--allow-user", "nobody");
        host.Sh($"setpriv --reuid 65534 --regid 65534 --clear-groups {EspalierProgram.Path} exec --control {open.Control} -- ip xfrm state").Expect();
    }
}
