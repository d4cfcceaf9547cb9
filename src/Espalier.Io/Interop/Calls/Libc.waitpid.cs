using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>waitpid(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int waitpid(int pid, int* wstatus, int options);
}
