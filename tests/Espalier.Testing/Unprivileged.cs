using System.Runtime.InteropServices;

namespace Espalier.Testing;

/// <summary>Runs code as an ordinary user would, for the refusals that such a user gets.</summary>
public static partial class Unprivileged
{
    private const uint Nobody = 65534;
    private const uint Unchanged = uint.MaxValue;

    /// <summary>
    /// Runs <paramref name="function"/> on a thread of its own without root's capabilities: the thread's effective user becomes nobody. Made by
    /// the system call itself, since the C library's function changes all threads.
    /// </summary>
    public static T Run<T>(Func<T> function)
    {
        ArgumentNullException.ThrowIfNull(function);
        Requirement.Root();
        return OwnThread.Run(() =>
        {
            nint number = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 117 : 147;
            return syscall(number, Unchanged, Nobody, Unchanged) == 0 ? function() : throw new InvalidOperationException("setresuid is refused");
        });
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(nint number, nuint real, nuint effective, nuint saved);
}
