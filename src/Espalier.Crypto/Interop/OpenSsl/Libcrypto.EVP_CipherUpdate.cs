using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>EVP_CipherUpdate(3): with null as output the input is associated data. 1 = done.</summary>
    [LibraryImport(Name)]
    internal static partial int EVP_CipherUpdate(nint ctx, byte* output, int* outl, byte* input, int inl);
}
