using System.Security.Cryptography;
using Espalier.Ipsec.Algorithms.Aead;
using Espalier.Ipsec.Algorithms.Ciphers;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Algorithms.Integrity;
using Espalier.Ipsec.Esp;

namespace Espalier.Ipsec.Algorithms;

/// <summary>
/// The checked algorithms and keys of one SA, from which a transform of one direction is made. Owns pinned copies of the keys,
/// zeroed by <see cref="Dispose"/>.
/// </summary>
internal abstract class TransformRecipe : IDisposable
{
    /// <summary>
    /// A new transform with state of its own, for one direction alone. Throws <see cref="CryptographicException"/> if a library refuses.
    /// </summary>
    public abstract EspTransform Create(TransformDirection direction, IvEntropy entropy);

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>Copies key bytes into a pinned array, so that the collector leaves no further copies behind.</summary>
    protected static byte[] CopyKey(ReadOnlySpan<byte> key)
    {
        byte[] copy = GC.AllocateUninitializedArray<byte>(key.Length, pinned: true);
        key.CopyTo(copy);
        return copy;
    }
}

/// <summary>One AEAD algorithm, done by an engine; its key ends in the salt.</summary>
internal sealed class AeadRecipe(AeadAlgorithm algorithm, ReadOnlySpan<byte> keyWithSalt, int icvLength, bool esn, CryptoEngine engine) : TransformRecipe
{
    private readonly byte[] _key = CopyKey(keyWithSalt);

    public override EspTransform Create(TransformDirection direction, IvEntropy entropy)
    {
        var key = _key.AsSpan(0, _key.Length - algorithm.SaltLength);
        var salt = _key.AsSpan(key.Length);
        var parameters = new AeadParameters(icvLength, esn, entropy);
        var cipher = engine.For(algorithm.Mode, icvLength).Create(algorithm.Mode, key, icvLength, direction);
        return algorithm.IsGmac ? new GmacTransform(cipher, salt, parameters) : new AeadTransform(cipher, salt, parameters);
    }

    public override void Dispose() => CryptographicOperations.ZeroMemory(_key);
}

/// <summary>Encryption and then a MAC over the result (RFC 4303 §3.3.2.1).</summary>
internal sealed class EncryptThenMacRecipe(
    CipherAlgorithm cipher,
    ReadOnlySpan<byte> cipherKey,
    MacAlgorithm mac,
    ReadOnlySpan<byte> macKey,
    int icvLength,
    bool esn) : TransformRecipe
{
    private readonly byte[] _cipherKey = CopyKey(cipherKey);
    private readonly byte[] _macKey = CopyKey(macKey);

    public override EspTransform Create(TransformDirection direction, IvEntropy entropy)
    {
        EspCipher? newCipher = null;
        EspMac? newMac = null;
        try
        {
            newCipher = cipher.Create(_cipherKey, direction, entropy);
            newMac = mac.Create(_macKey);
            return new EncryptThenMacTransform(newCipher, newMac, icvLength, esn);
        }
        catch
        {
            newCipher?.Dispose();
            newMac?.Dispose();
            throw;
        }
    }

    public override void Dispose()
    {
        CryptographicOperations.ZeroMemory(_cipherKey);
        CryptographicOperations.ZeroMemory(_macKey);
    }
}
