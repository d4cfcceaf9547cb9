using System.Globalization;
using Espalier.EndToEnd.Tests.Kernel;

namespace Espalier.EndToEnd.Tests;

/// <summary>The peer is the Linux kernel's own ESP, in a virtual machine. Every packet must arrive, and neither side may count an error.</summary>
public sealed class KernelPeerTests(KernelPeer peer) : IClassFixture<KernelPeer>
{
    private const string Gcm = "aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128";
    private const string Cbc = "enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f";
    private const string Key16 = "0x000102030405060708090a0b0c0d0e0f";
    private const string Key20 = Key16 + "10111213";
    private const string Key32 = Key16 + "101112131415161718191a1b1c1d1e1f";
    private const string Sha256 = "auth-trunc hmac(sha256) " + Key32 + " 128";

    [Theory]
    [InlineData("aead rfc4106(gcm(aes)) " + Key20 + " 64")]
    [InlineData("aead rfc4106(gcm(aes)) " + Key20 + " 96")]
    [InlineData("aead rfc4106(gcm(aes)) " + Key32 + "20212223 128")]
    [InlineData("aead rfc4543(gcm(aes)) " + Key20 + " 128")]
    [InlineData("aead rfc4309(ccm(aes)) " + Key16 + "101112 64")]
    [InlineData("aead rfc4309(ccm(aes)) " + Key16 + "101112 128")]
    [InlineData("aead rfc7539esp(chacha20,poly1305) " + Key32 + "20212223 128")]
    [InlineData("enc cbc(aes) " + Key32 + " " + Sha256)]
    [InlineData("enc rfc3686(ctr(aes)) " + Key20 + " " + Sha256)]
    [InlineData("enc cbc(des3_ede) " + Key16 + "1011121314151617 " + Sha256)]
    [InlineData("enc cbc(camellia) " + Key16 + " " + Sha256)]
    [InlineData("enc ecb(cipher_null)  " + Sha256)]
    [InlineData(Cbc + " auth hmac(sha256) " + Key32)]
    [InlineData(Cbc + " auth-trunc hmac(sha256) " + Key32 + " 104")]
    [InlineData(Cbc + " auth hmac(sha384) " + Key32)]
    [InlineData(Cbc + " auth hmac(sha512) " + Key32)]
    [InlineData(Cbc + " auth hmac(sha1) " + Key20)]
    [InlineData(Cbc + " auth hmac(md5) " + Key16)]
    [InlineData(Cbc + " auth xcbc(aes) " + Key16)]
    [InlineData(Cbc + " auth-trunc cmac(aes) " + Key16 + " 128")]
    public void Algorithm_WithTheKernel_BothWaysLosesNothing(string algorithm)
    {
        peer.Key(algorithm.Replace("cipher_null)  ", "cipher_null) \"\" ", StringComparison.Ordinal));
        BothWays(inner6: false);
        peer.Key(algorithm.Replace("cipher_null)  ", "cipher_null) \"\" ", StringComparison.Ordinal), extra: "flag esn");
        BothWays(inner6: true);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Version_OutsideAndEncapsulation_BothWaysLosesNothing(bool outer6, bool udp)
    {
        peer.Key(Gcm, outer6, udp);
        BothWays(inner6: false);
        BothWays(inner6: true);
    }

    [Theory]
    [InlineData(32)]
    [InlineData(4096)]
    public void Esn_Across32Bits_LosesNothing(int window)
    {
        peer.Key(Gcm, extra: string.Create(
            CultureInfo.InvariantCulture, $"flag esn replay-window {window} replay-seq 0xfffffff0 replay-oseq 0xfffffff0 replay-seq-hi 0 replay-oseq-hi 0"));

        var ping = peer.Ping(inner6: false, size: 56, count: 40);

        Assert.True(ping.Output.Contains("40 received", StringComparison.Ordinal), $"{ping.Text}\n{peer.Daemon.Stat()}\n{peer.KernelStates()}");
        Assert.Equal(2, peer.KernelStates().Split("seq-hi 0x1").Length - 1);
    }

    [Fact]
    public void Tfc_PaddedByBoth_IsTakenOff()
    {
        peer.Key(Gcm, extra: "tfcpad 800");
        BothWays(inner6: false);
        BothWays(inner6: true);
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public void Fragments_CutBeforeEsp_AreReassembledBothWays(bool outer6, bool udp)
    {
        peer.Key(Gcm, outer6, udp);
        var errors = Errors();

        foreach (bool inner6 in new[] { false, true })
        {
            Assert.Contains("1 received", peer.Ping(inner6, size: 5000).Text, StringComparison.Ordinal);
            Assert.Contains("1 packets received", peer.PingFromKernel(inner6, size: 5000), StringComparison.Ordinal);
        }

        AssertNoErrors(errors);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, true)]
    public void Tcp_BothWaysAtOnce_ArrivesWhole(bool udp, bool inner6)
    {
        // On a busy machine packets of the guest's came more than 32 out of order.
        peer.Key(Gcm, udp: udp, extra: "replay-window 4096");
        var errors = Errors();

        Assert.True(peer.EchoesByTcp(inner6, bytes: 1_000_000));

        AssertNoErrors(errors);
    }

    private void BothWays(bool inner6)
    {
        var errors = Errors();
        var before = Counted();

        var there = peer.Ping(inner6, size: 61);
        string back = peer.PingFromKernel(inner6, size: 1200);

        Assert.True(there.Output.Contains("1 received", StringComparison.Ordinal), there.Text);
        Assert.True(back.Contains("1 packets received", StringComparison.Ordinal), back);
        var after = Counted();
        Assert.Equal((before.Out + 2, before.In + 2), (after.Out, after.In));
        AssertNoErrors(errors);
    }

    private (long Out, long In) Counted()
    {
        var traffic = peer.Daemon.Stat()["traffic"]!;
        return ((long)traffic["packetsOut"]!, (long)traffic["packetsIn"]!);
    }

    // The kernel's, and what the daemon dropped, by reason.
    private (long Kernel, string Daemon) Errors() => (peer.KernelErrors(), peer.Daemon.Stat()["drops"]!.ToJsonString());

    private void AssertNoErrors((long Kernel, string Daemon) before) => Assert.Equal(before, Errors());
}
