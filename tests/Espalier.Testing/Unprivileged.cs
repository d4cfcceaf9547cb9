using System.Runtime.ExceptionServices;
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
        T? result = default;
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                nint number = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 117 : 147;
                if (syscall(number, Unchanged, Nobody, Unchanged) != 0)
                {
                    throw new InvalidOperationException("setresuid is refused");
                }

                result = function();
            }
#pragma warning disable CA1031 // Carried to the caller's thread.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
        return result!;
    }

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint syscall(nint number, nuint real, nuint effective, nuint saved);
}
