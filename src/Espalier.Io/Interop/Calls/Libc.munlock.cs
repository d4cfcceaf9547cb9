using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>munlock(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int munlock(void* addr, nuint length);
}
