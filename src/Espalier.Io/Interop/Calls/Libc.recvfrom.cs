using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>recvfrom(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint recvfrom(SafeDescriptor fd, void* buf, nuint len, int flags, void* src_addr, uint* addrlen);
}
