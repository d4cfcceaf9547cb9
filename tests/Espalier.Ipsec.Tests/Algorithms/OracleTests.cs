using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Tests.Algorithms.Oracles;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>Every algorithm, key size, ICV length and ESN setting against a library that Espalier does not use for it.</summary>
public sealed class OracleTests
{
    private const uint Spi = 0xc0ffee01;

    // With openssl a process a packet: fewer lengths.
    private static readonly int[] s_lengths = [0, 1, 2, 13, 14, 15, 16, 64, 1_399, 1_400, 9_000];
    private static readonly int[] s_fewLengths = [1, 1_400];

    public static TheoryData<string, bool> Cases => AlgorithmCases.WithEsn(AlgorithmCases.All);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Transform_AgainstOtherLibrary_SealsAndOpensTheSame(string line, bool esn)
    {
        bool camellia = line.Contains("camellia", StringComparison.Ordinal);
        if (camellia)
        {
            OpenSsl.SkipWithout();
        }

        var random = new Random(line.Length + (esn ? 1_000 : 0));
        var specs = AlgorithmCases.Specs(line, random.Next());
        using var transform = AlgorithmCases.Create(specs, esn);
        var oracle = new EspOracle(specs, esn);
        ulong sequence = esn ? 0x1_ffff_fff0UL : 0xffff_ff00UL;
        foreach (int length in camellia ? s_fewLengths : s_lengths)
        {
            sequence += 7;
            byte[] plaintext = AlgorithmCases.Plaintext(transform.Geometry, length, random);
            byte[] sealedByUs = AlgorithmCases.Prepare(transform.Geometry, Spi, sequence, plaintext);
            Assert.True(transform.TrySeal(sealedByUs, sequence));
            Assert.Equal(plaintext, oracle.Open(sealedByUs, sequence));

            byte[] iv = new byte[transform.Geometry.IvLength];
            random.NextBytes(iv);
            byte[] sealedByOracle = oracle.Seal(Spi, sequence, iv, plaintext);
            Assert.Equal(sealedByUs.Length, sealedByOracle.Length);
            Assert.True(transform.TryOpen(sealedByOracle, sequence));
            int start = EspGeometry.HeaderLength + iv.Length;
            Assert.Equal(plaintext, sealedByOracle[start..(start + plaintext.Length)]);
        }
    }

    [Theory]
    [InlineData("rfc4106(gcm(aes))/160/128")]
    [InlineData("rfc4106(gcm(aes))/160/64")]
    [InlineData("rfc4543(gcm(aes))/160/128")]
    [InlineData("rfc4309(ccm(aes))/152/128")]
    [InlineData("rfc7539esp(chacha20,poly1305)/288/128")]
    [InlineData("cbc(aes)/128+hmac(sha256)/256/128")]
    [InlineData("cbc(des3_ede)/192+xcbc(aes)/128/96")]
    [InlineData("rfc3686(ctr(aes))/160+cmac(aes)/128/96")]
    public void Transform_LongestPacket_SealsAndOpensTheSame(string line)
    {
        var random = new Random(5);
        var specs = AlgorithmCases.Specs(line);
        using var transform = AlgorithmCases.Create(specs, esn: true);
        byte[] plaintext = AlgorithmCases.Plaintext(transform.Geometry, transform.Geometry.LargestPayload(65_535), random);
        byte[] packet = AlgorithmCases.Prepare(transform.Geometry, Spi, 1UL << 40, plaintext);
        Assert.InRange(packet.Length, 65_520, 65_535);
        Assert.True(transform.TrySeal(packet, 1UL << 40));
        Assert.Equal(plaintext, new EspOracle(specs, esn: true).Open(packet, 1UL << 40));
        Assert.True(transform.TryOpen(packet, 1UL << 40));
        Assert.Equal(plaintext, packet.AsSpan(EspGeometry.HeaderLength + transform.Geometry.IvLength, plaintext.Length).ToArray());
    }
}
