using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>mlock(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int mlock(void* addr, nuint length);
}
