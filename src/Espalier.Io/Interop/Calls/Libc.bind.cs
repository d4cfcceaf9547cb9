using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>bind(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int bind(SafeDescriptor fd, void* addr, uint addrlen);
}
