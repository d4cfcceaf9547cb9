using System.Buffers.Binary;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>How IVs are chosen.</summary>
public sealed class IvTests
{
    public static TheoryData<string> CounterModes => new(
        [.. AlgorithmCases.Aeads, "rfc3686(ctr(aes))/160+hmac(sha256)/256/128"]);

    public static TheoryData<string> ChainedModes =>
        ["cbc(aes)/128+hmac(sha1)/160/96", "cbc(des3_ede)/192+hmac(sha1)/160/96", "cbc(camellia)/128+hmac(sha1)/160/96"];

    // RFC 4106 §3.1, RFC 4309 §3.1, RFC 7634 §2, RFC 3686 §2.1: never twice under one key. The kernel's seqiv does the same.
    [Theory]
    [MemberData(nameof(CounterModes))]
    public void CounterIv_IsSequenceXorOneSaltOfTheTransform(string line)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn: true);
        ulong salt = Iv(transform, 1) ^ 1;
        foreach (ulong sequence in new ulong[] { 2, 3, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, ulong.MaxValue })
        {
            Assert.Equal(salt ^ sequence, Iv(transform, sequence));
        }
    }

    // A manual SA that is deleted and added again starts at sequence number 1 with the same key.
    [Theory]
    [MemberData(nameof(CounterModes))]
    public void CounterIv_SaAddedAgainWithSameKey_Differs(string line)
    {
        var specs = AlgorithmCases.Specs(line);
        using var first = AlgorithmCases.Create(specs, esn: false);
        using var second = AlgorithmCases.Create(specs, esn: false);
        Assert.NotEqual(Iv(first, 1), Iv(second, 1));
    }

    // RFC 3602 §3: the IV must be chosen at random; two equal plaintexts must not begin with equal blocks.
    [Theory]
    [MemberData(nameof(ChainedModes))]
    public void ChainedIv_EqualPackets_NeverRepeatsIvOrCiphertext(string line)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn: false);
        var seen = new HashSet<string>();
        byte[] plaintext = new byte[64];
        for (int count = 0; count < 2_000; count++)
        {
            byte[] packet = AlgorithmCases.Prepare(transform.Geometry, 1, 1, plaintext);
            Assert.True(transform.TrySeal(packet, 1));
            int iv = transform.Geometry.IvLength;
            Assert.True(seen.Add(Convert.ToHexString(packet, EspGeometry.HeaderLength, iv)));
            Assert.True(seen.Add(Convert.ToHexString(packet, EspGeometry.HeaderLength + iv, iv)));
        }
    }

    // The last ciphertext block of a packet is no IV of the next one (RFC 3602 §3: that would be predictable).
    [Theory]
    [MemberData(nameof(ChainedModes))]
    public void ChainedIv_NextPacket_IsNotTheLastBlock(string line)
    {
        using var transform = AlgorithmCases.Create(AlgorithmCases.Specs(line), esn: false);
        int iv = transform.Geometry.IvLength;
        string last = "";
        for (int count = 0; count < 100; count++)
        {
            byte[] packet = AlgorithmCases.Prepare(transform.Geometry, 1, 1, new byte[64]);
            Assert.True(transform.TrySeal(packet, 1));
            Assert.NotEqual(last, Convert.ToHexString(packet, EspGeometry.HeaderLength, iv));
            last = Convert.ToHexString(packet, packet.Length - transform.Geometry.IcvLength - iv, iv);
        }
    }

    private static ulong Iv(EspTransform transform, ulong sequence)
    {
        byte[] packet = AlgorithmCases.Prepare(transform.Geometry, 1, sequence, AlgorithmCases.Plaintext(transform.Geometry, 9, new Random(1)));
        Assert.True(transform.TrySeal(packet, sequence));
        return BinaryPrimitives.ReadUInt64BigEndian(packet.AsSpan(EspGeometry.HeaderLength));
    }
}
