using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>ioctl(2) with a pointer argument.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int ioctl(SafeDescriptor fd, ulong request, void* argp);
}
