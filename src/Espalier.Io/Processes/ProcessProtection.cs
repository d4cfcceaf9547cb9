using Espalier.Io.Interop;

namespace Espalier.Io.Processes;

/// <summary>Keeps the keys in this process from leaving it by a core dump or a debugger of the same user.</summary>
public static unsafe class ProcessProtection
{
    /// <summary>
    /// PR_SET_DUMPABLE 0 and RLIMIT_CORE 0: no core dump, no ptrace and no /proc/PID/mem for processes without CAP_SYS_PTRACE. Returns 0 or the
    /// errno of the call that failed.
    /// </summary>
    public static int Apply()
    {
        rlimit none = default;
        return Libc.prctl(Files.PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || Libc.setrlimit(Files.RLIMIT_CORE, &none) != 0 ? Errno.Last : 0;
    }
}
