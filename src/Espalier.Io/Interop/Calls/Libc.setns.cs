using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>setns(2): moves the calling thread.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int setns(SafeDescriptor fd, int nstype);
}
