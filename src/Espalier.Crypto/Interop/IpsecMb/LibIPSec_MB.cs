using System.Runtime.InteropServices;

namespace Espalier.Crypto.Interop.IpsecMb;

/// <summary>
/// The calls into Intel's multi-buffer library, one a file, under their own names. Published with the library's archive at hand they are linked
/// statically (src/Espalier/Espalier.csproj); else the shared library is loaded with the first call, by one of the names in <see cref="SharedLibrary"/>.
/// </summary>
internal static unsafe partial class LibIPSec_MB
{
    /// <summary>The module that the imports name.</summary>
    internal const string Name = "libIPSec_MB";

    static LibIPSec_MB() => NativeLibrary.SetDllImportResolver(typeof(LibIPSec_MB).Assembly, SharedLibrary.Resolve);
}
