using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>connect(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int connect(SafeDescriptor fd, void* addr, uint addrlen);
}
