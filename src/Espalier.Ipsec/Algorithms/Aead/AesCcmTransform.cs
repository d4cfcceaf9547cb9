using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>
/// AES-CCM (RFC 4309) by the platform: a salt of 3 bytes and the IV make a nonce of 11, so the length field has 4 (RFC 4309 §4).
/// The platform allocates 32 bytes a packet.
/// </summary>
internal sealed class AesCcmTransform(ReadOnlySpan<byte> key, ReadOnlySpan<byte> salt, AeadParameters parameters)
    : AeadTransform(salt, parameters)
{
    private readonly AesCcm _ccm = new(key);

    protected override void Seal(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> aad = stackalloc byte[LongestAad];
        aad = aad[..WriteAad(packet, sequence, aad)];
        var payload = Payload(packet);
        _ccm.Encrypt(nonce, payload, payload, Icv(packet), aad);
    }

    protected override bool Open(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> aad = stackalloc byte[LongestAad];
        aad = aad[..WriteAad(packet, sequence, aad)];
        var payload = Payload(packet);
        _ccm.Decrypt(nonce, payload, Icv(packet), payload, aad);
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _ccm.Dispose();
        }

        base.Dispose(disposing);
    }
}
