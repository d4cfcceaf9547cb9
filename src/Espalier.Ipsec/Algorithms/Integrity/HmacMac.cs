using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Integrity;

/// <summary>HMAC by the platform: RFC 2403 (MD5), RFC 2404 (SHA-1), RFC 4868 (SHA-256, SHA-384, SHA-512). Allocates nothing for a packet.</summary>
internal sealed class HmacMac(HashAlgorithmName hash, ReadOnlySpan<byte> key) : EspMac
{
    private readonly IncrementalHash _hmac = IncrementalHash.CreateHMAC(hash, key);

    public override void Compute(ReadOnlySpan<byte> data, ReadOnlySpan<byte> tail, Span<byte> mac)
    {
        _hmac.AppendData(data);
        if (!tail.IsEmpty)
        {
            _hmac.AppendData(tail);
        }

        if (!_hmac.TryGetHashAndReset(mac, out _))
        {
            throw new CryptographicException("The HMAC is longer than its destination.");
        }
    }

    public override void Dispose() => _hmac.Dispose();
}
