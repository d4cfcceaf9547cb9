using Espalier.Io.Interop;

namespace Espalier.Io.Host;

/// <summary>Keeps the keys in this process's memory out of files and out of other processes' sight.</summary>
public static unsafe class ProcessHardening
{
    /// <summary>
    /// No core dumps, and no tracing or reading of this process's memory by others of the same user (prctl PR_SET_DUMPABLE, RLIMIT_CORE).
    /// Returns 0, or the errno of the first refusal; the other measure is taken all the same.
    /// </summary>
    public static int Apply()
    {
        int dumpable = Libc.prctl(Files.PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 ? 0 : Errno.Last;
        rlimit none = default;
        int core = Libc.setrlimit(Files.RLIMIT_CORE, &none) == 0 ? 0 : Errno.Last;
        return dumpable != 0 ? dumpable : core;
    }
}
