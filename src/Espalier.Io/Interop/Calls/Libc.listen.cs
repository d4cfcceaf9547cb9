using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>listen(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int listen(SafeDescriptor fd, int backlog);
}
