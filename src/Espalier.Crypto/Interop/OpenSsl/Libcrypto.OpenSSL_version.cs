using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.OpenSsl;

internal static unsafe partial class Libcrypto
{
    /// <summary>OpenSSL_version(3): static text.</summary>
    [LibraryImport(Name)]
    internal static partial byte* OpenSSL_version(int t);
}
