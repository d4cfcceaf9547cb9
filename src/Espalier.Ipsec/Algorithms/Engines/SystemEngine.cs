using Espalier.Ipsec.Algorithms.Aead;

namespace Espalier.Ipsec.Algorithms.Engines;

/// <summary>
/// System.Security.Cryptography. A call of its AesGcm costs some hundred nanoseconds before the first byte, which its API does not let one
/// avoid (docs/crypto-engines.md). CCM allocates 32 bytes a packet; a wrong tag costs an exception.
/// </summary>
internal sealed class SystemEngine : CryptoEngine
{
    private static readonly int[] s_allTags = [8, 12, 16];
    private static readonly int[] s_fullTag = [16];

    public override string Name => "system";

    public override string Library => "System.Security.Cryptography";

    public override ReadOnlySpan<int> TagLengths(AeadMode mode) => mode == AeadMode.ChaCha20Poly1305 ? s_fullTag : s_allTags;

    public override AeadCipher Create(AeadMode mode, ReadOnlySpan<byte> key, int tagLength, TransformDirection direction) => mode switch
    {
        AeadMode.AesGcm when tagLength < PlatformShortTagGcm.ShortestPlatformTag => new PlatformShortTagGcm(key),
        AeadMode.AesGcm => new PlatformGcm(key, tagLength),
        AeadMode.AesCcm => new PlatformCcm(key),
        _ => new PlatformChaCha20Poly1305(key),
    };
}
