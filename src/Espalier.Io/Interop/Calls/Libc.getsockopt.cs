using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>getsockopt(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int getsockopt(SafeDescriptor fd, int level, int optname, void* optval, uint* optlen);
}
