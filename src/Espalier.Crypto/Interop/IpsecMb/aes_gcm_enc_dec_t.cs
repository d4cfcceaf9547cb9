namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>aes_gcm_enc_dec_t: one message from nonce to tag. Encrypting and decrypting have the same form; both write the tag, and neither compares it.</summary>
internal readonly unsafe struct aes_gcm_enc_dec_t
{
    private readonly delegate* unmanaged<gcm_key_data*, gcm_context_data*, byte*, byte*, ulong, byte*, byte*, ulong, byte*, ulong, void> _function;

    /// <summary>The call.</summary>
    /// <param name="key">Made by <see cref="aes_gcm_pre_t"/>, aligned to 64.</param>
    /// <param name="context">Scratch.</param>
    /// <param name="output">May be <paramref name="input"/>.</param>
    /// <param name="input">Text.</param>
    /// <param name="length">Bytes of text.</param>
    /// <param name="iv">12 bytes.</param>
    /// <param name="aad">Associated data.</param>
    /// <param name="aadLength">Bytes of associated data.</param>
    /// <param name="tag">Where the tag is written.</param>
    /// <param name="tagLength">4 to 16.</param>
    internal void Invoke(
        gcm_key_data* key, gcm_context_data* context, byte* output, byte* input, ulong length, byte* iv, byte* aad, ulong aadLength, byte* tag, ulong tagLength) =>
        _function(key, context, output, input, length, iv, aad, aadLength, tag, tagLength);
}
