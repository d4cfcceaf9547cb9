using System.Security.Cryptography;
using Espalier.Crypto.Interop.OpenSsl;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Crypto.OpenSsl;

/// <summary>
/// An AEAD cipher of EVP. Algorithm and key stay in the context, so a packet sets the nonce alone:
/// nonce, associated data, text, end, tag (when opening, the tag before the end). A wrong tag is a return value of the end.
/// </summary>
internal sealed unsafe class EvpAeadCipher : AeadCipher
{
    private const int AsBefore = -1;

    private readonly SafeEvpCipherContext _owner;
    private nint _context; // 0 once disposed. _owner frees it.

    internal EvpAeadCipher(nint algorithm, ReadOnlySpan<byte> key, int tagLength, TransformDirection direction)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(tagLength, 16);
        _owner = Libcrypto.EVP_CIPHER_CTX_new();
        _context = _owner.DangerousGetHandle();
        fixed (byte* keyBytes = key)
        {
            if (_context == 0 || Libcrypto.EVP_CipherInit_ex(_context, algorithm, 0, keyBytes, null, direction == TransformDirection.Seal ? 1 : 0) != 1)
            {
                _owner.Dispose();
                throw new CryptographicException("libcrypto takes no key");
            }
        }
    }

    /// <inheritdoc/>
    public override bool TrySeal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag)
    {
        nint context = _context;
        bool done = context != 0 && Run(context, nonce, associatedData, text);
        fixed (byte* tagBytes = tag)
        {
            done = done && Libcrypto.EVP_CIPHER_CTX_ctrl(context, Libcrypto.EVP_CTRL_AEAD_GET_TAG, tag.Length, tagBytes) == 1;
        }

        GC.KeepAlive(_owner);
        return done;
    }

    /// <inheritdoc/>
    public override bool TryOpen(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag)
    {
        nint context = _context;
        bool verified;
        fixed (byte* tagBytes = tag)
        {
            verified = context != 0
                && Libcrypto.EVP_CIPHER_CTX_ctrl(context, Libcrypto.EVP_CTRL_AEAD_SET_TAG, tag.Length, tagBytes) == 1
                && Run(context, nonce, associatedData, text);
        }

        if (!verified)
        {
            text.Clear(); // What was not authenticated is not left behind.
        }

        GC.KeepAlive(_owner);
        return verified;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _context = 0;
            _owner.Dispose();
        }
    }

    private static bool Run(nint context, ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text)
    {
        int written;
        byte none;
        fixed (byte* nonceBytes = nonce, aadBytes = associatedData, textBytes = text)
        {
            return Libcrypto.EVP_CipherInit_ex(context, 0, 0, null, nonceBytes, AsBefore) == 1
                && Libcrypto.EVP_CipherUpdate(context, null, &written, aadBytes, associatedData.Length) == 1
                && (text.IsEmpty || Libcrypto.EVP_CipherUpdate(context, textBytes, &written, textBytes, text.Length) == 1)
                && Libcrypto.EVP_CipherFinal_ex(context, &none, &written) == 1;
        }
    }
}
