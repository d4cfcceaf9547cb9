using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>EVP_CipherFinal_ex(3): 1 = done; when decrypting, anything else is a wrong tag.</summary>
    [LibraryImport(Name)]
    internal static partial int EVP_CipherFinal_ex(nint ctx, byte* output, int* outl);
}
