using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>kill(2).</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial int kill(int pid, int sig);
}
