using System.Buffers.Binary;
using System.Globalization;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Tests.Algorithms;

/// <summary>
/// A combination of algorithms, written as one line so that the test runner can show it:
/// <c>rfc4106(gcm(aes))/160/128</c> is name, key bits and ICV bits; a pair is <c>cbc(aes)/128+hmac(sha1)/160/96</c>.
/// </summary>
internal static class AlgorithmCases
{
    public static readonly string[] Aeads =
    [
        .. from bits in new[] { 160, 224, 288 } from icv in new[] { 64, 96, 128 } select $"rfc4106(gcm(aes))/{bits}/{icv}",
        .. from bits in new[] { 160, 224, 288 } select $"rfc4543(gcm(aes))/{bits}/128",
        .. from bits in new[] { 152, 216, 280 } from icv in new[] { 64, 96, 128 } select $"rfc4309(ccm(aes))/{bits}/{icv}",
        "rfc7539esp(chacha20,poly1305)/288/128",
    ];

    public static readonly string[] Ciphers =
    [
        "cbc(aes)/128", "cbc(aes)/192", "cbc(aes)/256",
        "rfc3686(ctr(aes))/160", "rfc3686(ctr(aes))/224", "rfc3686(ctr(aes))/288",
        "cbc(des3_ede)/192",
        "cbc(camellia)/128", "cbc(camellia)/192", "cbc(camellia)/256",
        "ecb(cipher_null)/0",
    ];

    public static readonly string[] Macs =
    [
        "hmac(md5)/128/96", "hmac(md5)/128/128",
        "hmac(sha1)/160/96", "hmac(sha1)/160/160",
        "hmac(sha256)/256/96", "hmac(sha256)/256/128", "hmac(sha256)/256/256",
        "hmac(sha384)/384/192", "hmac(sha384)/384/384",
        "hmac(sha512)/512/256", "hmac(sha512)/512/512",
        "xcbc(aes)/128/96", "xcbc(aes)/128/128",
        "cmac(aes)/128/96", "cmac(aes)/128/128", "cmac(aes)/192/96", "cmac(aes)/256/96",
    ];

    /// <summary>Every AEAD, and every cipher with every MAC.</summary>
    public static IEnumerable<string> All => [.. Aeads, .. from cipher in Ciphers from mac in Macs select $"{cipher}+{mac}"];

    /// <summary>Every AEAD, every cipher with one MAC and every MAC with one cipher.</summary>
    public static IEnumerable<string> Representative =>
    [
        .. Aeads,
        .. from cipher in Ciphers select $"{cipher}+hmac(sha256)/256/128",
        .. from mac in Macs select $"cbc(aes)/128+{mac}",
    ];

    public static TheoryData<string, bool> WithEsn(IEnumerable<string> cases)
    {
        var data = new TheoryData<string, bool>();
        foreach (string name in cases)
        {
            data.Add(name, false);
            data.Add(name, true);
        }

        return data;
    }

    /// <summary>The algorithms with keys that a seed decides.</summary>
    public static AlgorithmSpec[] Specs(string line, int seed = 1)
    {
        var random = new Random(seed);
        return [.. line.Split('+').Select(part => Spec(part, random))];
    }

    public static EspTransform Create(IReadOnlyList<AlgorithmSpec> specs, bool esn, IvEntropy? entropy = null, CryptoEngine? engine = null)
    {
        Assert.True(EspTransformFactory.TryCreate(specs, esn, engine ?? CryptoEngine.System, entropy ?? IvEntropy.Shared, out var transform, out string? error), error);
        return transform;
    }

    /// <summary>A packet as the core lays it out: SPI, low sequence number, payload, padding, trailer; IV and ICV not yet written.</summary>
    public static byte[] Prepare(EspGeometry geometry, uint spi, ulong sequence, ReadOnlySpan<byte> plaintext)
    {
        byte[] packet = new byte[EspGeometry.HeaderLength + geometry.IvLength + plaintext.Length + geometry.IcvLength];
        BinaryPrimitives.WriteUInt32BigEndian(packet, spi);
        BinaryPrimitives.WriteUInt32BigEndian(packet.AsSpan(4), (uint)sequence);
        plaintext.CopyTo(packet.AsSpan(EspGeometry.HeaderLength + geometry.IvLength));
        return packet;
    }

    /// <summary>Payload of this length with minimal padding and trailer (RFC 4303 §2.4).</summary>
    public static byte[] Plaintext(EspGeometry geometry, int payloadLength, Random random)
    {
        int length = geometry.PacketLength(payloadLength) - EspGeometry.HeaderLength - geometry.IvLength - geometry.IcvLength;
        byte[] plaintext = new byte[length];
        random.NextBytes(plaintext.AsSpan(0, payloadLength));
        int padding = length - payloadLength - EspGeometry.TrailerLength;
        for (int at = 0; at < padding; at++)
        {
            plaintext[payloadLength + at] = (byte)(at + 1);
        }

        plaintext[^2] = (byte)padding;
        plaintext[^1] = 4;
        return plaintext;
    }

    private static AlgorithmSpec Spec(string part, Random random)
    {
        string[] fields = part.Split('/');
        byte[] key = new byte[int.Parse(fields[1], CultureInfo.InvariantCulture) / 8];
        random.NextBytes(key);
        if (fields.Length == 2)
        {
            return new AlgorithmSpec(AlgorithmKind.Encryption, fields[0], key, 0);
        }

        var kind = fields[0].StartsWith("rfc", StringComparison.Ordinal) ? AlgorithmKind.Aead : AlgorithmKind.AuthenticationTruncated;
        return new AlgorithmSpec(kind, fields[0], key, int.Parse(fields[2], CultureInfo.InvariantCulture));
    }
}
