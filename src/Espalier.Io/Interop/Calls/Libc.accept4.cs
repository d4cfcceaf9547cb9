using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>accept4(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int accept4(SafeDescriptor fd, void* addr, uint* addrlen, int flags);
}
