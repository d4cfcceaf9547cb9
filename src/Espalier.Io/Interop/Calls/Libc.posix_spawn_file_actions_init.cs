using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

internal static unsafe partial class Libc
{
    /// <summary>posix_spawn_file_actions_init(3): returns 0 or an errno.</summary>
    [LibraryImport("libc")]
    internal static partial int posix_spawn_file_actions_init(void* file_actions);
}
