using Espalier.Io;
using Espalier.Io.Processes;
using Espalier.Ipsec.Spd;

namespace Espalier.Routing.Guard;

/// <summary>The program nft, run on the guard's table. Any thread.</summary>
internal sealed class Nft(string program, string table)
{
    /// <summary>How long a write may take: ten thousand policies on a busy machine.</summary>
    internal static readonly TimeSpan WriteTimeout = TimeSpan.FromSeconds(30);

    /// <summary>How long removing a table may take: whoever stops the daemon has patience for less than three writes.</summary>
    internal static readonly TimeSpan RemoveTimeout = TimeSpan.FromSeconds(5);

    // The control thread waits for it, and feeds the service manager's watchdog (10 s in our unit).
    private static readonly TimeSpan ReadTimeout = TimeSpan.FromSeconds(3);

    // The process ids of the last writes, written by the thread that writes: nft binds its netlink socket to it, and the kernel names it in notifications.
    private readonly uint[] _writers = new uint[256];
    private int _writes;

    /// <summary>The program's path; null where it is not installed.</summary>
    internal static string? Find() => ChildProgram.Find("nft");

    /// <summary>Runs a script, one transaction; null, or the first line of what nft complains about.</summary>
    internal string? Run(string script) => Run(script, WriteTimeout);

    /// <summary>As above, for at most so long.</summary>
    internal string? Run(string script, TimeSpan timeout)
    {
        try
        {
            var result = ChildProgram.Run(program, ["-f", "-"], script, timeout);
            Volatile.Write(ref _writers[_writes++ % _writers.Length], (uint)result.ProcessId);
            return result.Succeeded ? null : $"nft: {FirstLine(result)}";
        }
        catch (DeviceException failure)
        {
            return failure.Message;
        }
    }

    /// <summary>True for the netlink port of a write that has ended. Of one that runs, it is said once it has ended.</summary>
    internal bool IsOwn(uint port) => port != 0 && Array.IndexOf(_writers, port) >= 0;

    /// <summary>Reads the table's counters; null where they cannot be had: the table is gone, say, or nft hangs.</summary>
    internal GuardCounters? ReadCounters()
    {
        try
        {
            var result = ChildProgram.Run(program, ["list", "counters", "table", .. table.Split(' ')], "", ReadTimeout);
            if (!result.Succeeded)
            {
                return null;
            }

            var counters = GuardScript.ParseCounters(result.Output);
            return new GuardCounters(
                counters.GetValueOrDefault(GuardGroup.CounterOf(PolicyDirection.In)),
                counters.GetValueOrDefault(GuardGroup.CounterOf(PolicyDirection.Forward)),
                counters.GetValueOrDefault(GuardGroup.CounterOf(PolicyDirection.Out)));
        }
        catch (DeviceException)
        {
            return null;
        }
    }

    /// <summary>True for a table that is there and not dormant.</summary>
    internal bool IsInForce(string name)
    {
        try
        {
            var result = ChildProgram.Run(program, ["--terse", "list", "table", .. name.Split(' ')], "", ReadTimeout);
            return result.Succeeded && !result.Output.Contains("flags dormant", StringComparison.Ordinal);
        }
        catch (DeviceException)
        {
            return false;
        }
    }

    private static string FirstLine(ProgramResult result)
    {
        string line = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault() ?? $"exit code {result.ExitCode}";
        int error = line.IndexOf("Error: ", StringComparison.Ordinal);
        return error < 0 ? line.Trim() : line[(error + "Error: ".Length)..].Trim();
    }
}
