using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>
/// AES-GCM with an ICV of 64 bits (RFC 4106 §6). The platform computes tags of 96 to 128 bits, and a shorter tag is the first
/// bytes of the long one (NIST SP 800-38D §7.1), so sealing truncates. The platform verifies no short tag, so opening runs the
/// cipher twice in the encrypting direction: once over the ciphertext, which gives the plaintext (the key stream is the same),
/// and once over that plaintext, which gives the ciphertext back and its full tag. The plaintext stays in this thread's scratch
/// array until the tag has been compared. No allocation; about twice the time of a longer ICV.
/// </summary>
internal sealed class AesGcmShortIcvTransform(ReadOnlySpan<byte> key, ReadOnlySpan<byte> salt, AeadParameters parameters)
    : AeadTransform(salt, parameters)
{
    private const int FullTag = 16;

    private readonly AesGcm _gcm = new(key, FullTag);

    protected override void Seal(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> aad = stackalloc byte[LongestAad];
        aad = aad[..WriteAad(packet, sequence, aad)];
        Span<byte> tag = stackalloc byte[FullTag];
        var payload = Payload(packet);
        _gcm.Encrypt(nonce, payload, payload, tag, aad);
        tag[..Geometry.IcvLength].CopyTo(Icv(packet));
    }

    protected override bool Open(Span<byte> packet, ReadOnlySpan<byte> nonce, ulong sequence)
    {
        Span<byte> aad = stackalloc byte[LongestAad];
        aad = aad[..WriteAad(packet, sequence, aad)];
        Span<byte> tag = stackalloc byte[FullTag];
        var payload = Payload(packet);
        var plaintext = PacketScratch.Rent().AsSpan(0, payload.Length);
        _gcm.Encrypt(nonce, payload, plaintext, tag);
        _gcm.Encrypt(nonce, plaintext, payload, tag, aad);
        if (!CryptographicOperations.FixedTimeEquals(tag[..Geometry.IcvLength], Icv(packet)))
        {
            CryptographicOperations.ZeroMemory(plaintext); // What was not authenticated is not left behind.
            return false;
        }

        plaintext.CopyTo(payload);
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
