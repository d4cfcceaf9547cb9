using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>malloc_trim(3), of the GNU C library alone.</summary>
    [LibraryImport("libc")]
    internal static partial int malloc_trim(nuint pad);
}
