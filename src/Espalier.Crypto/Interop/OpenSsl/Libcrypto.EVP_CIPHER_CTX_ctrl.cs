using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>EVP_CIPHER_CTX_ctrl(3): 1 = done.</summary>
    [LibraryImport(Name)]
    internal static partial int EVP_CIPHER_CTX_ctrl(nint ctx, int cmd, int p1, void* p2);
}
