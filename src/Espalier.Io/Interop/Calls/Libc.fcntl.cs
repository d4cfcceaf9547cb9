using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>fcntl(2) with an integer argument.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int fcntl(SafeDescriptor fd, int cmd, long arg);
}
