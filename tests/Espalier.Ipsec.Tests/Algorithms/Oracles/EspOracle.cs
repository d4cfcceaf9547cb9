using System.Buffers.Binary;
using Espalier.Ipsec.Algorithms;

namespace Espalier.Ipsec.Tests.Algorithms.Oracles;

/// <summary>
/// ESP once more, written plainly from the RFCs with a library that Espalier does not use for the algorithm. Packets are byte
/// arrays from SPI to ICV.
/// </summary>
internal sealed class EspOracle(IReadOnlyList<AlgorithmSpec> algorithms, bool esn)
{
    private readonly AlgorithmSpec _first = algorithms[0];
    private readonly AlgorithmSpec? _mac = algorithms.Count > 1 ? algorithms[1] : null;

    private int IvLength => _first.Name switch
    {
        "ecb(cipher_null)" => 0,
        "cbc(aes)" or "cbc(camellia)" => 16,
        _ => 8,
    };

    private int IcvLength => (_mac ?? _first).IcvBits / 8;

    private int SaltLength => _first.Name == "rfc4309(ccm(aes))" ? 3 : 4;

    private string Mode => _first.Name switch
    {
        "rfc4106(gcm(aes))" or "rfc4543(gcm(aes))" => "gcm",
        "rfc4309(ccm(aes))" => "ccm",
        _ => "chacha",
    };

    /// <summary>Builds the packet around a plaintext that ends in its trailer.</summary>
    public byte[] Seal(uint spi, ulong sequence, byte[] iv, byte[] plaintext)
    {
        byte[] header = [.. BigEndian(spi), .. BigEndian((uint)sequence)];
        if (_mac is null)
        {
            return [.. header, .. iv, .. SealAead(header, sequence, iv, plaintext)];
        }

        byte[] authenticated = [.. header, .. iv, .. OracleCipher.Encrypt(_first.Name, _first.Key, iv, plaintext)];
        return [.. authenticated, .. Mac(authenticated, sequence)];
    }

    /// <summary>Plaintext with trailer, or null if the ICV is wrong.</summary>
    public byte[]? Open(byte[] packet, ulong sequence)
    {
        byte[] header = packet[..8];
        byte[] iv = packet[8..(8 + IvLength)];
        byte[] rest = packet[(8 + IvLength)..];
        if (_mac is null)
        {
            return OpenAead(header, sequence, iv, rest);
        }

        if (!Mac(packet[..^IcvLength], sequence).AsSpan().SequenceEqual(packet.AsSpan(packet.Length - IcvLength)))
        {
            return null;
        }

        return OracleCipher.Decrypt(_first.Name, _first.Key, iv, rest[..^IcvLength]);
    }

    private byte[] SealAead(byte[] header, ulong sequence, byte[] iv, byte[] plaintext)
    {
        byte[] key = _first.Key[..^SaltLength];
        byte[] nonce = [.. _first.Key[^SaltLength..], .. iv];
        byte[] aad = Aad(header, sequence);
        return _first.Name == "rfc4543(gcm(aes))"
            ? [.. plaintext, .. OracleAead.Encrypt("gcm", key, nonce, [.. aad, .. iv, .. plaintext], [], IcvLength)]
            : OracleAead.Encrypt(Mode, key, nonce, aad, plaintext, IcvLength);
    }

    private byte[]? OpenAead(byte[] header, ulong sequence, byte[] iv, byte[] rest)
    {
        byte[] key = _first.Key[..^SaltLength];
        byte[] nonce = [.. _first.Key[^SaltLength..], .. iv];
        byte[] aad = Aad(header, sequence);
        if (_first.Name != "rfc4543(gcm(aes))")
        {
            return OracleAead.Decrypt(Mode, key, nonce, aad, rest, IcvLength);
        }

        byte[] plaintext = rest[..^IcvLength];
        return OracleAead.Decrypt("gcm", key, nonce, [.. aad, .. iv, .. plaintext], rest[^IcvLength..], IcvLength) is null ? null : plaintext;
    }

    private byte[] Aad(byte[] header, ulong sequence) =>
        esn ? [.. header[..4], .. BigEndian((uint)(sequence >> 32)), .. header[4..]] : header;

    private byte[] Mac(byte[] authenticated, ulong sequence) =>
        OracleMac.Compute(_mac!.Name, _mac.Key, esn ? [.. authenticated, .. BigEndian((uint)(sequence >> 32))] : authenticated)[..IcvLength];

    private static byte[] BigEndian(uint value)
    {
        byte[] bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }
}
