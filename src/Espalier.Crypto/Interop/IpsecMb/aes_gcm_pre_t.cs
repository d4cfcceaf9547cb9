namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>aes_gcm_pre_t: expands a key and computes the powers of its hash key.</summary>
internal readonly unsafe struct aes_gcm_pre_t
{
    private readonly delegate* unmanaged<byte*, gcm_key_data*, void> _function;

    /// <summary>The call.</summary>
    internal void Invoke(byte* key, gcm_key_data* expanded) => _function(key, expanded);
}
