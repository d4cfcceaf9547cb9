namespace Espalier.Ipsec.Algorithms.Engines;

/// <summary>The AEAD algorithms that a crypto engine may bring.</summary>
public enum AeadMode : byte
{
    /// <summary>AES-GCM: key of 16, 24 or 32 bytes, nonce of 12, tag of 8, 12 or 16 (RFC 4106). With nothing to encrypt it is GMAC (RFC 4543).</summary>
    AesGcm,

    /// <summary>AES-CCM: key of 16, 24 or 32 bytes, nonce of 11, tag of 8, 12 or 16 (RFC 4309).</summary>
    AesCcm,

    /// <summary>ChaCha20-Poly1305: key of 32 bytes, nonce of 12, tag of 16 (RFC 7634).</summary>
    ChaCha20Poly1305,
}
