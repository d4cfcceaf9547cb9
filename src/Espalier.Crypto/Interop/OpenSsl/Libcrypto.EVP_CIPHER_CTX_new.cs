using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>EVP_CIPHER_CTX_new(3).</summary>
    [LibraryImport(Name)]
    internal static partial SafeEvpCipherContext EVP_CIPHER_CTX_new();
}
