namespace Espalier.Ipsec.Algorithms.Engines;

/// <summary>
/// An AEAD algorithm of one library, with its key, for one direction: the part of <see cref="Esp.EspTransform"/> that a crypto engine brings.
/// It knows nothing of ESP. One thread at a time. It throws for no input, and allocates nothing unless its engine says so.
/// <see cref="IDisposable.Dispose"/> zeroes what it can reach of the key and frees native memory; after it both methods return false.
/// </summary>
public abstract class AeadCipher : IDisposable
{
    /// <summary>Encrypts in place and writes the tag.</summary>
    /// <param name="nonce">As long as the algorithm wants it; never twice with one key.</param>
    /// <param name="associatedData">What is authenticated and not encrypted.</param>
    /// <param name="text">Plaintext, which becomes ciphertext; may be empty.</param>
    /// <param name="tag">As long as the cipher was made for.</param>
    /// <returns>False if the library failed; then <paramref name="text"/> must not be sent.</returns>
    public abstract bool TrySeal(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, Span<byte> tag);

    /// <summary>Verifies the tag in constant time and decrypts in place.</summary>
    /// <param name="nonce">As the sender's.</param>
    /// <param name="associatedData">As the sender's.</param>
    /// <param name="text">Ciphertext, which becomes plaintext. Where the tag is wrong it holds no plaintext afterwards.</param>
    /// <param name="tag">As it arrived.</param>
    /// <returns>False if the tag is wrong or the library failed.</returns>
    public abstract bool TryOpen(ReadOnlySpan<byte> nonce, ReadOnlySpan<byte> associatedData, Span<byte> text, ReadOnlySpan<byte> tag);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Zeroes keys and releases native memory.</summary>
    protected abstract void Dispose(bool disposing);
}
