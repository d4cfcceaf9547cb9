using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>execvpe(3): replaces this process by a program found through PATH. Returns only on failure. Both vectors end with null.</summary>
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int execvpe(string file, byte** argv, byte** envp);
}
