using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>shutdown(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int shutdown(SafeDescriptor fd, int how);
}
