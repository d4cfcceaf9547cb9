using System.Runtime.InteropServices;

namespace Espalier.Lab.Traffic.Interop;

internal static unsafe partial class Libc
{
    /// <summary>clock_nanosleep(2): 0, or the error itself.</summary>
    [LibraryImport("libc")]
    internal static partial int clock_nanosleep(int clockid, int flags, timespec* request, timespec* remain);
}
