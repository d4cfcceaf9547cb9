using System.Security.Cryptography;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>
/// AES-GCM with a tag of 64 bits (RFC 4106 §6). The platform computes tags of 96 to 128 bits, and a shorter tag is the first
/// bytes of the long one (NIST SP 800-38D §7.1), so sealing truncates. The platform verifies no short tag, so opening runs the
/// cipher twice in the encrypting direction: once over the ciphertext, which gives the plaintext (the key stream is the same),
/// and once over that plaintext, which gives the ciphertext back and its full tag. The plaintext stays in this thread's scratch
/// array until the tag has been compared. No allocation; about twice the time of a longer tag.
/// </summary>
internal sealed class PlatformShortTagGcm(ReadOnlySpan<byte> key) : PlatformAead
{
    /// <summary>Shorter tags, in bytes, are for this class.</summary>
    public const int ShortestPlatformTag = 12;

    private const int FullTag = 16;

    private readonly AesGcm _gcm = new(key, FullTag);

    protected override void Encrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag)
    {
        Span<byte> full = stackalloc byte[FullTag];
        _gcm.Encrypt(nonce, text, text, full, associatedData);
        full[..tag.Length].CopyTo(tag);
    }

    protected override bool Decrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        Span<byte> full = stackalloc byte[FullTag];
        var plaintext = PacketScratch.Rent().AsSpan(0, text.Length);
        _gcm.Encrypt(nonce, text, plaintext, full);
        _gcm.Encrypt(nonce, plaintext, text, full, associatedData);
        if (!IcvComparison.AreEqual(full[..tag.Length], tag))
        {
            CryptographicOperations.ZeroMemory(plaintext); // What was not authenticated is not left behind.
            return false;
        }

        plaintext.CopyTo(text);
        return true;
    }

    protected override void Release() => _gcm.Dispose();
}
