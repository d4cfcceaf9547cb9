using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Extended sequence numbers across 2^32 (RFC 4303 §2.2.1), and the end of the 32-bit ones (§3.3.3), set by `ip xfrm`.</summary>
public sealed class EsnTests
{
    private const string Start = "replay-seq 0xfffffff0 replay-oseq 0xfffffff0";

    [Theory]
    [InlineData("aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128")]
    [InlineData("enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f auth-trunc hmac(sha256) 0x000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f 128")]
    public void Tunnel_EsnAcross32Bits_LosesNothing(string algorithms)
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true, algorithms, $"flag esn replay-window 128 {Start} replay-seq-hi 0 replay-oseq-hi 0");

        var ping = hosts.Moon.Sh("ping -c 40 -i 0.01 -W 2 -I 10.1.0.1 10.2.0.1");

        Assert.True(ping.ExitCode == 0 && ping.Output.Contains(" 0% packet loss", StringComparison.Ordinal), $"{ping.Output}\n{hosts.SunDaemon.Stat()}");
        string state = hosts.SunDaemon.Exec("ip -s xfrm state").Expect().Output;
        Assert.Contains("seq-hi 0x1", state, StringComparison.Ordinal);
    }

    [Fact]
    public void Tunnel_32BitSequenceUsedUp_StopsBeforeItWraps()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true, extra: $"replay-window 32 {Start}");

        var ping = hosts.Moon.Sh("ping -c 25 -i 0.01 -W 1 -I 10.1.0.1 10.2.0.1");

        Assert.Contains("15 received", ping.Output, StringComparison.Ordinal);
        Assert.Equal(10, hosts.MoonDaemon.Drops("OutboundSequenceExhausted"));
    }
}
