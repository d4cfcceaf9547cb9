using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>writev(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint writev(SafeDescriptor fd, iovec* iov, int iovcnt);
}
