using System.Diagnostics;
using Espalier.Testing;

namespace Espalier.Lab.Tests;

/// <summary>The lab as its users run it.</summary>
internal static class LabProgram
{
    /// <summary>The program as built.</summary>
    public static string Path { get; } = System.IO.Path.Combine(Published.Root, "artifacts/bin/Espalier.Lab/release/Espalier.Lab");

    /// <summary>Runs it to its end.</summary>
    public static (int ExitCode, string Output, string Error) Run(params string[] arguments)
    {
        var result = Command.Try(Path, arguments, 100);
        return (result.ExitCode, result.Output, result.Error);
    }

    /// <summary>Runs it to its end with another path to look for programs.</summary>
    public static (int ExitCode, string Output, string Error) RunWithPath(string path, params string[] arguments)
    {
        var result = Command.Try("/usr/bin/env", [$"PATH={path}", Path, .. arguments], 100);
        return (result.ExitCode, result.Output, result.Error);
    }

    /// <summary>Starts it.</summary>
    public static Process Start(params string[] arguments) => Start(Path, arguments);

    /// <summary>Starts it as the leader of a group of processes, as a shell does: a signal to the group is Ctrl-C.</summary>
    public static Process StartGroup(params string[] arguments) => Start("setsid", [Path, .. arguments]);

    private static Process Start(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }

    /// <summary>What a run needs of the machine.</summary>
    public static void Need()
    {
        Requirement.Tun();
        foreach (string tool in (string[])["ping", "taskset", "perf", "strace", "ss"])
        {
            Requirement.Tool(tool);
        }

        Assert.SkipUnless(File.Exists(Published.Espalier), $"needs the published daemon: {Published.Command("src/Espalier")}");
        Assert.SkipUnless(File.Exists(Published.Traffic), $"needs the published traffic program: {Published.Command("bench/Espalier.Lab.Traffic")}");
    }
}
