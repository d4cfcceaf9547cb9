using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>close(2). By number, because SafeDescriptor itself calls it.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int close(int fd);
}
