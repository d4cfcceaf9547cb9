using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>EVP_chacha20_poly1305(3): static.</summary>
    [LibraryImport(Name)]
    internal static partial nint EVP_chacha20_poly1305();
}
