using System.Runtime.InteropServices;
using Espalier.Io.Interop;

namespace Espalier.Io.Processes;

/// <summary>Replaces this process by another program, as a shell's <c>exec</c> does: same process id, descriptors and terminal.</summary>
public static unsafe class ProgramReplacement
{
    private const int SIGPIPE = 13;
    private const nint SIG_DFL = 0;

    /// <summary>
    /// Starts <paramref name="arguments"/>[0], looked for in PATH, in this process. What the .NET runtime changed for itself and a program would
    /// inherit is put back: the ignored SIGPIPE and the raised soft limit of open files. Returns only if it fails, with the errno.
    /// </summary>
    /// <param name="arguments">The program and its arguments, at least one.</param>
    /// <param name="environment">The whole environment, NAME=value.</param>
    /// <param name="openFiles">The soft limit of open files that the program shall have, or null to leave it.</param>
    public static int Replace(IReadOnlyList<string> arguments, IReadOnlyList<string> environment, ulong? openFiles = null)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        ArgumentNullException.ThrowIfNull(environment);
        byte** argv = Vector(arguments);
        byte** envp = Vector(environment);
        Libc.signal(SIGPIPE, SIG_DFL);
        rlimit limit;
        if (openFiles is { } soft && Libc.getrlimit(Files.RLIMIT_NOFILE, &limit) == 0 && soft < limit.rlim_cur)
        {
            limit.rlim_cur = soft;
            _ = Libc.setrlimit(Files.RLIMIT_NOFILE, &limit);
        }

        _ = Libc.execvpe(arguments[0], argv, envp);
        int errno = Errno.Last;
        Free(argv);
        Free(envp);
        return errno;
    }

    private static byte** Vector(IReadOnlyList<string> values)
    {
        byte** vector = (byte**)NativeMemory.AllocZeroed((nuint)values.Count + 1, (nuint)sizeof(byte*));
        for (int i = 0; i < values.Count; i++)
        {
            vector[i] = (byte*)Marshal.StringToCoTaskMemUTF8(values[i]);
        }

        return vector;
    }

    private static void Free(byte** vector)
    {
        for (byte** entry = vector; *entry != null; entry++)
        {
            Marshal.FreeCoTaskMem((nint)(*entry));
        }

        NativeMemory.Free(vector);
    }
}
