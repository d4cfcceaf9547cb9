using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>EVP_CIPHER_CTX_free(3): cleanses the key schedule.</summary>
    [LibraryImport(Name)]
    internal static partial void EVP_CIPHER_CTX_free(nint ctx);
}
