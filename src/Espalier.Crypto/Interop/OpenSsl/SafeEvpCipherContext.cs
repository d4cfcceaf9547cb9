using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

/// <summary>An EVP_CIPHER_CTX. OpenSSL cleanses the key when it is freed.</summary>
internal sealed class SafeEvpCipherContext() : SafeHandle(0, ownsHandle: true)
{
    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        Libcrypto.EVP_CIPHER_CTX_free(handle);
        return true;
    }
}
