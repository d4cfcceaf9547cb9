using System.Security.Cryptography;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Ipsec.Algorithms.Aead;

/// <summary>
/// An AEAD algorithm of the platform. The platform reports a wrong tag by an exception alone; this is the one place that turns it into a
/// result (<see cref="AuthenticationTagMismatchException"/> is a <see cref="CryptographicException"/>). It zeroes the plaintext before.
/// </summary>
internal abstract class PlatformAead : AeadCipher
{
    private bool _disposed;

    public sealed override bool TrySeal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag)
    {
        if (_disposed)
        {
            return false;
        }

        try
        {
            Encrypt(nonce, associatedData, text, tag);
            return true;
        }
        catch (CryptographicException)
        {
            return false; // The library failed (no memory): the packet is not sent.
        }
    }

    public sealed override bool TryOpen(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        if (_disposed)
        {
            return false;
        }

        try
        {
            return Decrypt(nonce, associatedData, text, tag);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    protected abstract void Encrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag);

    /// <summary>A wrong tag gives false or a <see cref="CryptographicException"/>.</summary>
    protected abstract bool Decrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag);

    /// <summary>Releases the library's object. Called once.</summary>
    protected abstract void Release();

    protected sealed override void Dispose(bool disposing)
    {
        if (disposing && !_disposed)
        {
            _disposed = true;
            Release();
        }
    }
}

/// <summary>AES-GCM with a tag of 96 or 128 bits by the platform.</summary>
internal sealed class PlatformGcm(ReadOnlySpan<byte> key, int tagLength) : PlatformAead
{
    private readonly AesGcm _gcm = new(key, tagLength);

    protected override void Encrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag) =>
        _gcm.Encrypt(nonce, text, text, tag, associatedData);

    protected override bool Decrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        _gcm.Decrypt(nonce, text, tag, text, associatedData);
        return true;
    }

    protected override void Release() => _gcm.Dispose();
}

/// <summary>AES-CCM by the platform: a nonce of 11 bytes leaves 4 for the length field (RFC 4309 §4). The platform allocates 32 bytes a packet.</summary>
internal sealed class PlatformCcm(ReadOnlySpan<byte> key) : PlatformAead
{
    private readonly AesCcm _ccm = new(key);

    protected override void Encrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag) =>
        _ccm.Encrypt(nonce, text, text, tag, associatedData);

    protected override bool Decrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        _ccm.Decrypt(nonce, text, tag, text, associatedData);
        return true;
    }

    protected override void Release() => _ccm.Dispose();
}

/// <summary>ChaCha20-Poly1305 by the platform.</summary>
internal sealed class PlatformChaCha20Poly1305(ReadOnlySpan<byte> key) : PlatformAead
{
    private readonly ChaCha20Poly1305 _chacha = new(key);

    protected override void Encrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag) =>
        _chacha.Encrypt(nonce, text, text, tag, associatedData);

    protected override bool Decrypt(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        _chacha.Decrypt(nonce, text, tag, text, associatedData);
        return true;
    }

    protected override void Release() => _chacha.Dispose();
}
