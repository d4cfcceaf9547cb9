using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>sendto(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint sendto(SafeDescriptor fd, void* buf, nuint len, int flags, void* dest_addr, uint addrlen);
}
