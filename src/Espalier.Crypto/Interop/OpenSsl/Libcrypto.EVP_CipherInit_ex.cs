using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>EVP_CipherInit_ex(3): what is null or -1 stays as it is. 1 = done.</summary>
    [LibraryImport(Name)]
    internal static partial int EVP_CipherInit_ex(nint ctx, nint type, nint impl, byte* key, byte* iv, int enc);
}
