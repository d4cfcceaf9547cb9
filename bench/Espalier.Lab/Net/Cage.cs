using System.Globalization;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Net;

/// <summary>A control group with a limit of memory and of processor time: version 1 where its memory controller is mounted, else version 2.</summary>
internal sealed class Cage : IAsyncDisposable
{
    private const string Root = "/sys/fs/cgroup", Memory1 = Root + "/memory", Cpu1 = Root + "/cpu";
    private const long Period = 100_000; // µs
    private readonly string _memory, _cpu;

    private Cage(string memory, string cpu) => (_memory, _cpu) = (memory, cpu);

    private static bool IsVersion1 => File.Exists(Memory1 + "/memory.limit_in_bytes");

    /// <summary>Null if this machine lets us limit memory, else why not.</summary>
    public static string? WhatIsMissing() =>
        IsVersion1 || (File.Exists(Root + "/cgroup.controllers") && File.ReadAllText(Root + "/cgroup.controllers").Contains("memory", StringComparison.Ordinal))
            ? null
            : "no memory controller of control groups under /sys/fs/cgroup";

    /// <summary>Makes one. <paramref name="memoryBytes"/> and <paramref name="cpuShare"/> (1 = one processor) null: no limit.</summary>
    public static Cage Create(string name, long? memoryBytes, double? cpuShare)
    {
        string stem = $"{Leftovers.Stem}{Environment.ProcessId}-{name}";
        var cage = IsVersion1 ? new Cage($"{Memory1}/{stem}", $"{Cpu1}/{stem}") : new Cage($"{Root}/{stem}", $"{Root}/{stem}");
        Directory.CreateDirectory(cage._memory);
        Directory.CreateDirectory(cage._cpu);
        string Text(double value) => ((long)value).ToString(CultureInfo.InvariantCulture);
        if (!IsVersion1)
        {
            File.WriteAllText(Root + "/cgroup.subtree_control", "+memory +cpu");
        }

        if (memoryBytes is { } bytes)
        {
            File.WriteAllText(cage._memory + (IsVersion1 ? "/memory.limit_in_bytes" : "/memory.max"), Text(bytes));
        }

        if (cpuShare is { } share && IsVersion1)
        {
            File.WriteAllText(cage._cpu + "/cpu.cfs_period_us", Text(Period));
            File.WriteAllText(cage._cpu + "/cpu.cfs_quota_us", Text(share * Period));
        }
        else if (cpuShare is { } quota)
        {
            File.WriteAllText(cage._cpu + "/cpu.max", $"{Text(quota * Period)} {Text(Period)}");
        }

        return cage;
    }

    /// <summary>Command line that runs another within the cage.</summary>
    public string[] Command(params string[] command) =>
        ["sh", "-c", $"echo $$ > {_memory}/cgroup.procs && echo $$ > {_cpu}/cgroup.procs && exec \"$@\"", "sh", .. command];

    /// <summary>How often the kernel ended a process here because memory ran out.</summary>
    public long OutOfMemoryKills() =>
        File.ReadLines(_memory + (IsVersion1 ? "/memory.oom_control" : "/memory.events"))
            .Where(line => line.StartsWith("oom_kill ", StringComparison.Ordinal))
            .Select(line => long.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture)).FirstOrDefault();

    /// <summary>Folders of cages of any lab.</summary>
    public static IEnumerable<string> Folders() =>
        ((string[])[Root, Memory1, Cpu1]).Where(Directory.Exists).SelectMany(root => Directory.EnumerateDirectories(root, Leftovers.Stem + "*")).ToArray();

    /// <summary>Ends the processes of a cage and removes its folder.</summary>
    public static async Task RemoveFolderAsync(string folder)
    {
        for (int attempt = 0; Directory.Exists(folder) && attempt < 50; attempt++)
        {
            string[] ids = File.ReadAllLines(folder + "/cgroup.procs");
            if (ids.Length > 0)
            {
                await Shell.TryAsync(["sh", "-c", $"kill -KILL {string.Join(' ', ids)}"], CancellationToken.None).ConfigureAwait(false);
                await Task.Delay(100).ConfigureAwait(false);
            }

            if ((await Shell.TryAsync(["rmdir", folder], CancellationToken.None).ConfigureAwait(false)).ExitCode != 0)
            {
                await Task.Delay(100).ConfigureAwait(false); // processes that are still ending
            }
        }

        if (Directory.Exists(folder))
        {
            throw new LabException($"the control group {folder} cannot be removed");
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await RemoveFolderAsync(_memory).ConfigureAwait(false);
        await RemoveFolderAsync(_cpu).ConfigureAwait(false);
    }
}
