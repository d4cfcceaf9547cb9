using System.Diagnostics;
using Xunit;

namespace Espalier.Testing;

/// <summary>A program that ran to its end.</summary>
public sealed record ShellResult(string Command, int ExitCode, string Output, string Error)
{
    /// <summary>This result if the exit code is 0; else the test fails with what the program said.</summary>
    public ShellResult Expect()
    {
        Assert.True(ExitCode == 0, $"{Command}: exit code {ExitCode}\n{Output}\n{Error}");
        return this;
    }

    /// <summary>All that it printed.</summary>
    public string Text => Output + Error;
}

/// <summary>Command lines split at blanks, run with a time limit and never through a shell.</summary>
public static class Shell
{
    /// <summary>Runs a command line to its end.</summary>
    public static ShellResult Run(string commandLine, int seconds = 30) => Run(Split(commandLine), seconds);

    /// <summary>Runs a program to its end.</summary>
    public static ShellResult Run(IReadOnlyList<string> command, int seconds = 30)
    {
        var result = Command.Try(command[0], command.Skip(1), seconds);
        return new ShellResult(string.Join(' ', command), result.ExitCode, result.Output, result.Error);
    }

    /// <summary>Runs a command line inside a namespace.</summary>
    public static ShellResult Sh(this NetworkNamespace host, string commandLine, int seconds = 30) =>
        Run(["ip", "netns", "exec", host.Name, .. Split(commandLine)], seconds);

    /// <summary>Starts a command line inside a namespace, its standard streams redirected; `ip netns exec` replaces itself by the program.</summary>
    public static Process Start(this NetworkNamespace host, string commandLine) => Start(["ip", "netns", "exec", host.Name, .. Split(commandLine)]);

    /// <summary>Starts a program with its standard streams redirected; its input has ended, unless it is to be <paramref name="fed"/>.</summary>
    public static Process Start(IReadOnlyList<string> command, bool fed = false)
    {
        var start = new ProcessStartInfo(command[0]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (string argument in command.Skip(1))
        {
            start.ArgumentList.Add(argument);
        }

        var process = Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start");
        if (!fed)
        {
            process.StandardInput.Close();
        }

        return process;
    }

    private static string[] Split(string commandLine) => commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
