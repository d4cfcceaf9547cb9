using System.Runtime.InteropServices;
using Espalier.Crypto.Interop.OpenSsl;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Crypto.OpenSsl;

/// <summary>OpenSSL's libcrypto by its EVP interface: the library that System.Security.Cryptography uses too, without what that adds to each call.</summary>
internal sealed class OpenSslEngine : CryptoEngine
{
    /// <summary>As `--crypto` names it.</summary>
    internal const string EngineName = "openssl";

    private static readonly int[] s_gcmTags = [8, 12, 16];
    private static readonly int[] s_chachaTags = [16];

    private OpenSslEngine(string library) => Library = library;

    /// <inheritdoc/>
    public override string Name => EngineName;

    /// <inheritdoc/>
    public override string Library { get; }

    /// <summary>Why the library cannot be used here, or null.</summary>
    internal static string? Lacks()
    {
        try
        {
            _ = Version();
            return null;
        }
        catch (Exception failure) when (failure is DllNotFoundException or EntryPointNotFoundException)
        {
            return $"{Libcrypto.Name} is not installed (Debian: libssl3)";
        }
    }

    /// <summary>The engine; only where it <see cref="Lacks"/> nothing.</summary>
    internal static OpenSslEngine Open() => new(Version());

    /// <inheritdoc/>
    public override ReadOnlySpan<int> TagLengths(AeadMode mode) => mode switch
    {
        AeadMode.AesGcm => s_gcmTags,
        AeadMode.ChaCha20Poly1305 => s_chachaTags,
        _ => [],
    };

    /// <inheritdoc/>
    public override AeadCipher Create(AeadMode mode, ReadOnlySpan<byte> key, int tagLength, TransformDirection direction) =>
        new EvpAeadCipher(Algorithm(mode, key.Length), key, tagLength, direction);

    private static nint Algorithm(AeadMode mode, int keyLength) => (mode, keyLength) switch
    {
        (AeadMode.AesGcm, 16) => Libcrypto.EVP_aes_128_gcm(),
        (AeadMode.AesGcm, 24) => Libcrypto.EVP_aes_192_gcm(),
        (AeadMode.AesGcm, 32) => Libcrypto.EVP_aes_256_gcm(),
        (AeadMode.ChaCha20Poly1305, 32) => Libcrypto.EVP_chacha20_poly1305(),
        _ => throw new ArgumentOutOfRangeException(nameof(mode), $"{mode} with a key of {keyLength} bytes is not here."),
    };

    // "OpenSSL 3.0.17 1 Jul 2025": the date is left out.
    private static unsafe string Version() =>
        string.Join(' ', (Marshal.PtrToStringUTF8((nint)Libcrypto.OpenSSL_version(Libcrypto.OPENSSL_VERSION)) ?? "").Split(' ').Take(2));
}
