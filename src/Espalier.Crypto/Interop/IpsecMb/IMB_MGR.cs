using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>
/// The head of IMB_MGR (intel-ipsec-mb.h): the functions for AES-GCM that init_mb_mgr_auto chose. They have stood at these places from version 0.55
/// to 2.0.2. They use nothing of the manager itself.
/// </summary>
[StructLayout(LayoutKind.Explicit)]
internal struct IMB_MGR
{
    /// <summary>IMB_FEATURE_AESNI.</summary>
    internal const ulong FeatureAesni = 1 << 1;

    /// <summary>IMB_FEATURE_PCLMULQDQ.</summary>
    internal const ulong FeaturePclmulqdq = 1 << 2;

    /// <summary>IMB_FLAG_AESNI_OFF: as on a processor without AES instructions.</summary>
    internal const ulong FlagAesniOff = 1 << 1;

    [FieldOffset(8)] internal ulong features;
    [FieldOffset(256)] internal aes_gcm_enc_dec_t gcm128_enc;
    [FieldOffset(264)] internal aes_gcm_enc_dec_t gcm192_enc;
    [FieldOffset(272)] internal aes_gcm_enc_dec_t gcm256_enc;
    [FieldOffset(280)] internal aes_gcm_enc_dec_t gcm128_dec;
    [FieldOffset(288)] internal aes_gcm_enc_dec_t gcm192_dec;
    [FieldOffset(296)] internal aes_gcm_enc_dec_t gcm256_dec;
    [FieldOffset(448)] internal aes_gcm_pre_t gcm128_pre;
    [FieldOffset(456)] internal aes_gcm_pre_t gcm192_pre;
    [FieldOffset(464)] internal aes_gcm_pre_t gcm256_pre;
}
