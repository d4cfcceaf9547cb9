using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>nanosleep(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int nanosleep(timespec* req, timespec* rem);
}
