namespace Espalier.Io.Interop;

/// <summary>Constants of sys/mman.h, sys/wait.h, signal.h and spawn.h.</summary>
internal static class Processes
{
    internal const uint MFD_CLOEXEC = 1;
    internal const int WNOHANG = 1;
    internal const int SIGKILL = 9;

    /// <summary>Bytes for a posix_spawn_file_actions_t: 80 in glibc, fewer in musl.</summary>
    internal const int FileActionsSize = 256;
}
