using System.Security.Cryptography;
using Espalier.Ipsec.Algorithms.Ciphers;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Ipsec.Algorithms.Integrity;

namespace Espalier.Ipsec.Algorithms;

/// <summary>An AEAD algorithm of ESP.</summary>
/// <param name="Name">The kernel's name.</param>
/// <param name="KeyLengths">Bytes of key, without the salt.</param>
/// <param name="SaltLength">Bytes of salt at the end of the key.</param>
/// <param name="IcvBits">ICV lengths.</param>
/// <param name="Mode">What a crypto engine is asked for.</param>
/// <param name="IsSupported">False where this machine's cryptographic library lacks it.</param>
/// <param name="IsGmac">True where nothing is encrypted.</param>
internal sealed record AeadAlgorithm(
    string Name, int[] KeyLengths, int SaltLength, int[] IcvBits, AeadMode Mode, Func<bool> IsSupported, bool IsGmac = false);

/// <summary>An encryption algorithm of ESP.</summary>
/// <param name="Name">The kernel's name.</param>
/// <param name="LegacyName">The kernel's older name, or null.</param>
/// <param name="KeyLengths">Bytes of key, without the nonce.</param>
/// <param name="NonceLength">Bytes of nonce at the end of the key.</param>
/// <param name="Create">Makes a cipher.</param>
internal sealed record CipherAlgorithm(
    string Name, string? LegacyName, int[] KeyLengths, int NonceLength, CipherAlgorithm.Creator Create)
{
    public delegate EspCipher Creator(ReadOnlySpan<byte> key, TransformDirection direction, IvEntropy entropy);
}

/// <summary>An integrity algorithm of ESP.</summary>
/// <param name="Name">The kernel's name.</param>
/// <param name="LegacyName">The kernel's older name, or null.</param>
/// <param name="KeyLengths">Bytes of key; empty = any but none.</param>
/// <param name="DefaultIcvBits">ICV length with XFRMA_ALG_AUTH.</param>
/// <param name="FullBits">Length of the MAC, the longest ICV.</param>
/// <param name="Create">Makes a MAC.</param>
internal sealed record MacAlgorithm(
    string Name, string? LegacyName, int[] KeyLengths, int DefaultIcvBits, int FullBits, MacAlgorithm.Creator Create)
{
    public delegate EspMac Creator(ReadOnlySpan<byte> key);
}

/// <summary>The algorithms by the names of the kernel's XFRM interface (linux/net/xfrm/xfrm_algo.c) and their sizes.</summary>
internal static class AlgorithmCatalog
{
    /// <summary>Null encryption (RFC 2410).</summary>
    public const string NullCipherName = "ecb(cipher_null)";

    /// <summary>Null authentication: a name that is known so that it can be refused by name.</summary>
    public const string NullMacName = "digest_null";

    private static readonly int[] s_aesKeys = [16, 24, 32];

    public static AeadAlgorithm[] Aeads { get; } =
    [
        new("rfc4106(gcm(aes))", s_aesKeys, 4, [64, 96, 128], AeadMode.AesGcm, static () => AesGcm.IsSupported),
        new("rfc4543(gcm(aes))", s_aesKeys, 4, [128], AeadMode.AesGcm, static () => AesGcm.IsSupported, IsGmac: true),
        new("rfc4309(ccm(aes))", s_aesKeys, 3, [64, 96, 128], AeadMode.AesCcm, static () => AesCcm.IsSupported),
        new("rfc7539esp(chacha20,poly1305)", [32], 4, [128], AeadMode.ChaCha20Poly1305, static () => ChaCha20Poly1305.IsSupported),
    ];

    public static CipherAlgorithm[] Ciphers { get; } =
    [
        new("cbc(aes)", "aes", s_aesKeys, 0, static (key, direction, entropy) => PlatformCbcCipher.Aes(key, direction, entropy)),
        new("rfc3686(ctr(aes))", null, s_aesKeys, AesCtrCipher.NonceLength, static (key, _, entropy) => new AesCtrCipher(key, entropy)),
        new("cbc(des3_ede)", "des3_ede", [24], 0, static (key, direction, entropy) => PlatformCbcCipher.TripleDes(key, direction, entropy)),
        new("cbc(camellia)", "camellia", [16, 24, 32], 0, static (key, direction, entropy) => new CamelliaCbcCipher(key, direction, entropy)),
        new(NullCipherName, "cipher_null", [0], 0, static (_, _, _) => new NullCipher()),
    ];

    public static MacAlgorithm[] Macs { get; } =
    [
        new("hmac(md5)", "md5", [], 96, 128, static key => new HmacMac(HashAlgorithmName.MD5, key)),
        new("hmac(sha1)", "sha1", [], 96, 160, static key => new HmacMac(HashAlgorithmName.SHA1, key)),
        new("hmac(sha256)", "sha256", [], 96, 256, static key => new HmacMac(HashAlgorithmName.SHA256, key)),
        new("hmac(sha384)", null, [], 192, 384, static key => new HmacMac(HashAlgorithmName.SHA384, key)),
        new("hmac(sha512)", null, [], 256, 512, static key => new HmacMac(HashAlgorithmName.SHA512, key)),
        new("xcbc(aes)", null, [16], 96, 128, static key => AesCbcMac.Xcbc(key)),
        new("cmac(aes)", null, s_aesKeys, 96, 128, static key => AesCbcMac.Cmac(key)),
    ];

    public static AeadAlgorithm? Aead(string name) => Array.Find(Aeads, algorithm => algorithm.Name == name);

    public static CipherAlgorithm? Cipher(string name) =>
        Array.Find(Ciphers, algorithm => algorithm.Name == name || algorithm.LegacyName == name);

    public static MacAlgorithm? Mac(string name) =>
        Array.Find(Macs, algorithm => algorithm.Name == name || algorithm.LegacyName == name);
}
