using System.Globalization;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.EndToEnd.Tests.Kernel;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>The peer is the Linux kernel's own ESP, in a virtual machine. Every packet must arrive, and neither side may count an error.</summary>
public sealed class KernelPeerTests(KernelPeer peer) : IClassFixture<KernelPeer>
{
    private const string Gcm = "aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 128";
    private const string Cbc = "enc cbc(aes) 0x000102030405060708090a0b0c0d0e0f";
    private const string Key16 = "0x000102030405060708090a0b0c0d0e0f";
    private const string Key20 = Key16 + "10111213";
    private const string Key32 = Key16 + "101112131415161718191a1b1c1d1e1f";
    private const string Sent0xFFFFFFF0 = "replay-oseq 0xfffffff0 replay-oseq-hi 0";
    private const int Ef = 46 << 2, Cs3 = 24 << 2;

    // Not-ECT, ECT(1), ECT(0), CE: as nftables names them, and as they are on the wire.
    private static readonly string[] OuterEcn = ["not-ect", "ect1", "ect0", "ce"];
    private static readonly int[] Fields = [0, 1, 2, 3];

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
    [InlineData(Gcm, 32)]
    [InlineData(Gcm, 4096)]
    [InlineData("aead rfc4543(gcm(aes)) " + Key20 + " 128", 32)]
    [InlineData("aead rfc7539esp(chacha20,poly1305) " + Key32 + "20212223 128", 32)]
    [InlineData(Cbc + " " + Sha256, 32)]
    [InlineData("enc rfc3686(ctr(aes)) " + Key20 + " auth xcbc(aes) " + Key16, 32)]
    public void Esn_Across32Bits_LosesNothing(string algorithm, int window)
    {
        peer.Key(algorithm, extra: string.Create(
            CultureInfo.InvariantCulture, $"flag esn replay-window {window} {Sent0xFFFFFFF0} replay-seq 0xfffffff0 replay-seq-hi 0"));

        AssertAllReturn();
        Assert.Equal(2, peer.KernelStates().Split("seq-hi 0x1").Length - 1);
    }

    [Theory]
    [InlineData(Gcm)]
    [InlineData(Cbc + " " + Sha256)]
    public void Esn_LateFromBefore32Bits_LosesNothing(string algorithm)
    {
        // RFC 4303 appendix A2.2, case B: both receivers' windows reach over 2^32, both senders are still before it.
        peer.Key(algorithm, extra: $"flag esn {Sent0xFFFFFFF0} replay-seq 5 replay-seq-hi 1");

        AssertAllReturn();
    }

    [Theory]
    [InlineData("")]
    [InlineData("flag esn")]
    public void Replay_OfWhatArrived_IsRefusedByBoth(string flag)
    {
        peer.Key(Gcm, extra: flag);
        using var fromMoon = peer.AtRouter(fromMoon: true, outer6: false);
        using var fromSun = peer.AtRouter(fromMoon: false, outer6: false);
        BothWays(inner6: false);
        fromMoon.Finish(2);
        fromSun.Finish(2);
        long replayed = peer.Daemon.Drops("InboundReplayed"), errors = peer.KernelErrors();

        peer.ForwardAgain(fromMoon, Gateways.SunAt(false));
        peer.ForwardAgain(fromSun, Gateways.MoonAt(false));

        Assert.Equal(replayed + 2, Wait.ForValue(() => peer.Daemon.Drops("InboundReplayed"), replayed + 2));
        Assert.Equal(errors + 2, Wait.ForValue(peer.KernelErrors, errors + 2));
    }

    [Theory]
    [InlineData(Gcm, false)]
    [InlineData(Cbc + " " + Sha256, true)]
    public void SaCountersAndLengths_OfBothEnds_AreTheSame(string algorithm, bool inner6)
    {
        peer.Key(algorithm);
        using var fromMoon = peer.AtRouter(fromMoon: true, outer6: false);
        using var fromSun = peer.AtRouter(fromMoon: false, outer6: false);
        int header = inner6 ? 48 : 28;

        BothWays(inner6);

        var expected = new SaCount(61 + 1200 + (2 * header), 2, 2);
        Assert.Equal((expected, expected), peer.Counts(Gateways.MoonToSun));
        Assert.Equal((expected, expected), peer.Counts(Gateways.SunToMoon));
        fromMoon.Finish(2);
        fromSun.Finish(2);
        Assert.Equal(Headers(fromSun).Select(outer => outer.Length), Headers(fromMoon).Select(outer => outer.Length));
    }

    [Theory]
    [InlineData("")]
    [InlineData("flag esn replay-oseq-hi 0 replay-seq 0 replay-seq-hi 0")]
    public void Sequence_FarAheadOfTheWindow_IsTaken(string words)
    {
        peer.Key(Gcm, extra: $"replay-oseq 0x70000000 {words}");

        BothWays(inner6: false);

        Assert.Equal(0x70000002, peer.Counts(Gateways.SunToMoon).Kernel.LastSequence);
    }

    [Fact]
    public void Tfc_PaddedByBoth_IsTakenOff()
    {
        // In UDP: with the modules esp4_offload and esp6_offload loaded the kernel pads nothing else. When it receives, it counts the padding; Espalier does not.
        peer.Key(Gcm, udp: true, extra: "tfcpad 800");
        using var fromMoon = peer.AtRouter(fromMoon: true, outer6: false);
        using var fromSun = peer.AtRouter(fromMoon: false, outer6: false);

        BothWays(inner6: false);
        BothWays(inner6: true);

        fromMoon.Finish(4);
        fromSun.Finish(4);
        Assert.Equal(Headers(fromSun).Select(outer => outer.Length), Headers(fromMoon).Select(outer => outer.Length));
        Assert.Equal(800 + 1228 + 800 + 1248, peer.Counts(Gateways.MoonToSun).Kernel.Bytes);
        Assert.Equal(89 + 1228 + 109 + 1248, peer.Counts(Gateways.SunToMoon).Daemon.Bytes);
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

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Ecn_EachCombination_FollowsTheRules(bool outer6, bool inner6)
    {
        // RFC 6040 §4.1 and §4.2 here; the kernel's xfrm follows RFC 3168: the differences stand in docs/packets.md.
        peer.Key(Gcm, outer6);
        string family = outer6 ? "ip6" : "ip";
        using var fromMoon = peer.AtRouter(fromMoon: true, outer6);
        using var fromSun = peer.AtRouter(fromMoon: false, outer6);
        using var atMoon = peer.AtMoon(inner6);
        var atSun = new List<int>();
        foreach (string outer in OuterEcn)
        {
            peer.OnRouter(fromMoon: true, $"{family} ecn set {outer}");
            atSun.AddRange(Fields.Select(field => peer.Reflect(inner6, new Reflection(TrafficClass: Ef | field)).TrafficClass));
        }

        foreach (string outer in OuterEcn)
        {
            peer.OnRouter(fromMoon: false, $"{family} ecn set {outer}");
            foreach (int field in Fields)
            {
                long drops = peer.Daemon.Drops("InboundEcnForbidden");
                bool came = peer.IsReflected(inner6, new Reflection(AnswerClass: Ef | field), () => peer.Daemon.Drops("InboundEcnForbidden") > drops);
                Assert.Equal(outer != "ce" || field != 0, came);
            }
        }

        fromMoon.Finish(32);
        fromSun.Finish(32);
        atMoon.Finish(31);
        Assert.Equal(Fields.Select(field => Ef | field), Classes(fromMoon).Take(4));
        Assert.Equal([Ef, Ef | 1, Ef | 2, Ef | 2], Classes(fromSun).Skip(16).Take(4));
        //            inner: Not-ECT, ECT(1), ECT(0), CE
        Assert.Equal([Ef, Ef | 1, Ef | 2, Ef | 3, Ef, Ef | 1, Ef | 2, Ef | 3, Ef, Ef | 1, Ef | 2, Ef | 3, Ef, Ef | 3, Ef | 3, Ef | 3], atSun);
        Assert.Equal(
            [Ef, Ef | 1, Ef | 2, Ef | 3, Ef, Ef | 1, Ef | 1, Ef | 3, Ef, Ef | 1, Ef | 2, Ef | 3, Ef | 3, Ef | 3, Ef | 3],
            atMoon.Frames().Select(frame => IpHeader.OfPacket(frame).TrafficClass).Skip(16));
    }

    [Theory]
    [InlineData("", Ef | 2, true, Ef | 3)]
    [InlineData("flag noecn", Ef, true, Ef | 2)]
    [InlineData("flag decap-dscp", Ef | 2, true, Cs3 | 3)]
    [InlineData("flag nopmtudisc", Ef | 2, false, Ef | 3)]
    [InlineData("extra-flag dont-encap-dscp", 2, true, Ef | 3)]
    public void Flag_OfTheSa_MeansTheSameToBoth(string flag, int outerClass, bool outerDontFragment, int innerClass)
    {
        // The packet that enters has DSCP EF, ECT(0) and DF; on its way the outer header is marked CS3 and CE.
        foreach (bool inner6 in new[] { false, true })
        {
            peer.Key(Gcm, extra: flag);
            using var fromMoon = peer.AtRouter(fromMoon: true, outer6: false);
            using var fromSun = peer.AtRouter(fromMoon: false, outer6: false);
            using var atMoon = peer.AtMoon(inner6);
            var packet = new Reflection(Ef | 2, Ef | 2, DontFragment: true);

            peer.OnRouter(fromMoon: true, "ip dscp set cs3", "ip ecn set ce");
            int atSun = peer.Reflect(inner6, packet).TrafficClass;
            peer.OnRouter(fromMoon: false, "ip dscp set cs3", "ip ecn set ce");
            peer.Reflect(inner6, packet);

            fromMoon.Finish(2);
            fromSun.Finish(2);
            atMoon.Finish(2);
            foreach (var outer in new[] { fromMoon, fromSun }.SelectMany(Headers))
            {
                Assert.Equal((outerClass, outerDontFragment), (outer.TrafficClass, outer.DontFragment));
            }

            Assert.Equal((innerClass, innerClass), (atSun, IpHeader.OfPacket(atMoon.Frames()[1]).TrafficClass));
        }
    }

    [Theory]
    [InlineData(false, false, true)]
    [InlineData(false, true, false)]
    [InlineData(true, false, false)]
    [InlineData(true, true, true)]
    public void Path_NarrowLinkAtTheRouter_BothLearnTheSameSize(bool outer6, bool inner6, bool udp)
    {
        const int Link = 1400;
        peer.Key(Gcm, outer6, udp);
        peer.Narrow(toMoon: false, outer6, Link);
        peer.Narrow(toMoon: true, outer6, Link);
        int room = Link - (outer6 ? 40 : 20) - (udp ? 8 : 0) - 8 - 8 - 16;    // ESP header, IV, ICV
        int payload = (room & -4) - 2 - (inner6 ? 48 : 28);                    // trailer, inner headers

        Assert.True(peer.IsRefused(inner6, new Reflection(DontFragment: true, AnswerLength: payload + 1)));
        Assert.Equal(payload, peer.Reflect(inner6, new Reflection(DontFragment: true, AnswerLength: payload)).Length);
        Wait.Until(
            () =>
            {
                peer.Ping(inner6, payload + 1, options: "-M do -W 1 -w 1");
                return peer.PathMtu() == Link;
            },
            "moon learns the path MTU");
        Assert.Contains("1 received", peer.Ping(inner6, payload, options: "-M do").Output, StringComparison.Ordinal);
    }

    private static IEnumerable<IpHeader> Headers(PacketCapture capture) => capture.Frames().Select(IpHeader.Of);

    private static IEnumerable<int> Classes(PacketCapture capture) => Headers(capture).Select(outer => outer.TrafficClass);

    private void AssertAllReturn()
    {
        var errors = Errors();
        var ping = peer.Ping(inner6: false, size: 56, count: 24);
        Assert.True(ping.Output.Contains("24 received", StringComparison.Ordinal), $"{ping.Text}\n{peer.Daemon.Stat()}\n{peer.KernelStates()}");
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
