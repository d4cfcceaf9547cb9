using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>signal(2), for the dispositions SIG_DFL (0) and SIG_IGN (1). Returns the former one, or -1.</summary>
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint signal(int signum, nint handler);
}
