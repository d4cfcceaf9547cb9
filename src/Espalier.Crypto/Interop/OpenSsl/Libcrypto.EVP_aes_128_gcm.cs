using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>EVP_aes_128_gcm(3): static.</summary>
    [LibraryImport(Name)]
    internal static partial nint EVP_aes_128_gcm();
}
