using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>pread(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint pread(SafeDescriptor fd, void* buf, nuint count, long offset);
}
