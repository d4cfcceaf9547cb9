using System.Text;
using Espalier.Io.Interop;
using Microsoft.Win32.SafeHandles;

namespace Espalier.Io.Processes;

/// <summary>What a program left behind: its exit code (128 + signal where a signal ended it), what it wrote to its standard output and error, together, and the process id that it had.</summary>
public readonly record struct ProgramResult(int ExitCode, string Output, int ProcessId)
{
    /// <summary>True for exit code 0.</summary>
    public bool Succeeded => ExitCode == 0;
}

/// <summary>
/// Runs another program to its end with an argument list, never through a shell. Its standard input and output are files in memory, so that neither side
/// can block the other. The program gets no environment but PATH and LC_ALL=C.
/// </summary>
public static unsafe class ChildProgram
{
    private const string SystemDirectories = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin";
    private const int LongestOutput = 1 << 20;

    /// <summary>The path of a program, looked for in PATH and in the directories of system programs; null where it is not installed.</summary>
    public static string? Find(string name)
    {
        string path = $"{Environment.GetEnvironmentVariable("PATH")}:{SystemDirectories}";
        foreach (string directory in path.Split(':', StringSplitOptions.RemoveEmptyEntries))
        {
            string candidate = Path.Combine(directory, name);
            if (Path.IsPathRooted(candidate) && File.Exists(candidate))
            {
                return candidate;
            }
        }

        return null;
    }

    /// <summary>
    /// Runs the program at <paramref name="path"/> and waits for it, at most <paramref name="timeout"/>; then it is killed.
    /// It runs in the network namespace of the calling thread.
    /// </summary>
    /// <exception cref="DeviceException">It could not be started, or did not end in time.</exception>
    public static ProgramResult Run(string path, IReadOnlyList<string> arguments, string input, TimeSpan timeout)
    {
        using var inputFile = CreateFile("input");
        using var outputFile = CreateFile("output");
        RandomAccess.Write(inputFile, Encoding.UTF8.GetBytes(input), 0);
        int pid = Spawn(path, arguments, inputFile, outputFile);
        int exitCode = Wait(pid, path, timeout);
        byte[] output = new byte[(int)Math.Min(RandomAccess.GetLength(outputFile), LongestOutput)];
        int length = RandomAccess.Read(outputFile, output, 0);
        return new ProgramResult(exitCode, Encoding.UTF8.GetString(output, 0, length), pid);
    }

    private static SafeFileHandle CreateFile(string name)
    {
        int descriptor = Libc.memfd_create(name, Interop.Processes.MFD_CLOEXEC);
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw DeviceException.FromLast("Cannot make a file in memory");
    }

    private static int Spawn(string path, IReadOnlyList<string> arguments, SafeFileHandle input, SafeFileHandle output)
    {
        byte* actions = stackalloc byte[Interop.Processes.FileActionsSize];
        Check(Libc.posix_spawn_file_actions_init(actions), path);
        byte[] storage = [.. ZeroTerminated([path, .. arguments]), .. ZeroTerminated(["LC_ALL=C", $"PATH={SystemDirectories}"])];
        byte** argv = stackalloc byte*[arguments.Count + 2];
        byte** envp = stackalloc byte*[3];
        try
        {
            Check(Libc.posix_spawn_file_actions_adddup2(actions, (int)input.DangerousGetHandle(), 0), path);
            Check(Libc.posix_spawn_file_actions_adddup2(actions, (int)output.DangerousGetHandle(), 1), path);
            Check(Libc.posix_spawn_file_actions_adddup2(actions, (int)output.DangerousGetHandle(), 2), path);
            fixed (byte* strings = storage)
            {
                byte* next = Point(argv, arguments.Count + 1, strings);
                Point(envp, 2, next);
                int pid;
                Check(Libc.posix_spawn(&pid, path, actions, null, argv, envp), path);
                return pid;
            }
        }
        finally
        {
            _ = Libc.posix_spawn_file_actions_destroy(actions);
        }
    }

    private static byte[] ZeroTerminated(IReadOnlyList<string> strings)
    {
        List<byte> bytes = [];
        foreach (string text in strings)
        {
            bytes.AddRange(Encoding.UTF8.GetBytes(text));
            bytes.Add(0);
        }

        return [.. bytes];
    }

    /// <summary>Fills a vector that a null pointer ends with <paramref name="count"/> strings that stand one after another; returns what follows them.</summary>
    private static byte* Point(byte** vector, int count, byte* strings)
    {
        for (int i = 0; i < count; i++)
        {
            vector[i] = strings;
            while (*strings != 0)
            {
                strings++;
            }

            strings++;
        }

        vector[count] = null;
        return strings;
    }

    private static int Wait(int pid, string path, TimeSpan timeout)
    {
        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        int pause = 1;
        while (true)
        {
            int status;
            int waited = Libc.waitpid(pid, &status, Interop.Processes.WNOHANG);
            if (waited == pid)
            {
                return (status & 0x7f) == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f);
            }

            if (waited < 0 && Errno.Last != Errno.EINTR)
            {
                throw DeviceException.FromLast($"Cannot wait for {path}");
            }

            if (Environment.TickCount64 >= deadline)
            {
                _ = Libc.kill(pid, Interop.Processes.SIGKILL);
                _ = Libc.waitpid(pid, &status, 0);
                throw new DeviceException($"{path} did not end within {timeout.TotalSeconds:0} s.");
            }

            Thread.Sleep(pause);
            pause = Math.Min(pause * 2, 16);
        }
    }

    private static void Check(int errno, string path)
    {
        if (errno != 0)
        {
            throw DeviceException.From($"Cannot start {path}", errno);
        }
    }
}
