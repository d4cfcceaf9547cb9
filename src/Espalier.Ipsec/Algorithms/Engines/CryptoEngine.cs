namespace Espalier.Ipsec.Algorithms.Engines;

/// <summary>
/// A cryptographic library behind ESP. An engine brings AEAD algorithms; what it does not bring, and every combination of a cipher and a MAC, is
/// done by <see cref="System"/>. Batches go through <see cref="Esp.EspTransform.SealBatch(Span{byte}, Span{Esp.EspFrame})"/> and <see cref="Esp.EspTransform.OpenBatch"/>.
/// Stateless; any thread.
/// </summary>
public abstract class CryptoEngine
{
    /// <summary>System.Security.Cryptography: there on every machine, and has every algorithm.</summary>
    public static CryptoEngine System { get; } = new SystemEngine();

    /// <summary>BouncyCastle, managed code.</summary>
    public static CryptoEngine BouncyCastle { get; } = new BouncyCastleEngine();

    /// <summary>As `--crypto` names it.</summary>
    public abstract string Name { get; }

    /// <summary>Library and version, for people.</summary>
    public abstract string Library { get; }

    /// <summary>The tag lengths in bytes for which <see cref="Create"/> makes ciphers of this algorithm; none = does not bring it.</summary>
    public abstract ReadOnlySpan<int> TagLengths(AeadMode mode);

    /// <summary>Makes a cipher, which keeps no reference to <paramref name="key"/>.</summary>
    /// <param name="mode">One for which there are <see cref="TagLengths"/>.</param>
    /// <param name="key">Of a length that the algorithm has.</param>
    /// <param name="tagLength">One of <see cref="TagLengths"/>, bytes.</param>
    /// <param name="direction">The only one that the cipher will be used for.</param>
    /// <exception cref="global::System.Security.Cryptography.CryptographicException">The library refuses.</exception>
    public abstract AeadCipher Create(AeadMode mode, ReadOnlySpan<byte> key, int tagLength, TransformDirection direction);

    /// <summary>This engine where it brings the algorithm, else <see cref="System"/>.</summary>
    internal CryptoEngine For(AeadMode mode, int tagLength) => TagLengths(mode).Contains(tagLength) ? this : System;
}
