using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>ChaCha20-Poly1305 (RFC 7634) by the platform: a salt of 4 bytes and the IV make the nonce.</summary>
internal sealed class ChaCha20Poly1305Transform(ReadOnlySpan<byte> key, ReadOnlySpan<byte> salt, AeadParameters parameters)
    : AeadTransform(salt, parameters)
{
    private readonly ChaCha20Poly1305 _chacha = new(key);

    protected override void Seal(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> aad = stackalloc byte[LongestAad];
        aad = aad[..WriteAad(packet, sequence, aad)];
        var payload = Payload(packet);
        _chacha.Encrypt(nonce, payload, payload, Icv(packet), aad);
    }

    protected override bool Open(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> aad = stackalloc byte[LongestAad];
        aad = aad[..WriteAad(packet, sequence, aad)];
        var payload = Payload(packet);
        _chacha.Decrypt(nonce, payload, Icv(packet), payload, aad);
        return true;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _chacha.Dispose();
        }

        base.Dispose(disposing);
    }
}
