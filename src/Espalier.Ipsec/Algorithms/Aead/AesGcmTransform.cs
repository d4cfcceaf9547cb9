using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>AES-GCM with an ICV of 96 or 128 bits (RFC 4106) by the platform.</summary>
internal sealed class AesGcmTransform(ReadOnlySpan<byte> key, ReadOnlySpan<byte> salt, AeadParameters parameters)
    : AeadTransform(salt, parameters)
{
    private readonly AesGcm _gcm = new(key, parameters.IcvLength);

    protected override void Seal(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> aad = stackalloc byte[LongestAad];
        aad = aad[..WriteAad(packet, sequence, aad)];
        var payload = Payload(packet);
        _gcm.Encrypt(nonce, payload, payload, Icv(packet), aad);
    }

    protected override bool Open(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> aad = stackalloc byte[LongestAad];
        aad = aad[..WriteAad(packet, sequence, aad)];
        var payload = Payload(packet);
        _gcm.Decrypt(nonce, payload, Icv(packet), payload, aad);
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _gcm.Dispose();
        }

        base.Dispose(disposing);
    }
}
