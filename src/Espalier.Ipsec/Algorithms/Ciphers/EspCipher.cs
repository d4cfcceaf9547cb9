namespace Espalier.Ipsec.Algorithms.Ciphers;

/// <summary>
/// Encryption without integrity, for use under a MAC alone. In place; one thread at a time; made for one direction, and called in
/// no other. Failures of the library come as
/// <see cref="System.Security.Cryptography.CryptographicException"/>, never because of a packet's content, and leave nothing behind that
/// spoils the next packet.
/// </summary>
internal abstract class EspCipher : IDisposable
{
    /// <summary>Bytes of IV that travel in each packet.</summary>
    public abstract int IvLength { get; }

    /// <summary>Bytes of the block, of which the ciphertext must be a whole number; 1 where any length will do.</summary>
    public abstract int BlockLength { get; }

    /// <summary>Writes the IV to the first <see cref="IvLength"/> bytes and encrypts the rest.</summary>
    /// <param name="ivAndPayload">IV, payload, padding, pad length and next header.</param>
    /// <param name="sequence">64-bit sequence number, for ciphers whose IV is a counter.</param>
    public abstract void Encrypt(Span<byte> ivAndPayload, ulong sequence);

    /// <summary>Decrypts all behind the IV; the bytes of the IV are left as they are.</summary>
    public abstract void Decrypt(Span<byte> ivAndPayload);

    /// <summary>Releases native handles and zeroes key schedules.</summary>
    public abstract void Dispose();
}
