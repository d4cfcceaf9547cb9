using System.Diagnostics;

namespace Espalier.Testing;

/// <summary>What a program left behind when it ended.</summary>
public readonly record struct CommandResult(int ExitCode, string Output, string Error);

/// <summary>Runs other programs to their end.</summary>
public static class Command
{
    /// <summary>Runs <paramref name="file"/> to its end, whatever its exit code. Ends it after <paramref name="timeoutSeconds"/>.</summary>
    public static CommandResult Try(string file, IEnumerable<string> arguments, int timeoutSeconds = 60)
    {
        var start = new ProcessStartInfo(file) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{file} did not start");
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(TimeSpan.FromSeconds(timeoutSeconds)))
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{file} {string.Join(' ', start.ArgumentList)} did not end within {timeoutSeconds} s");
        }

        return new CommandResult(process.ExitCode, output.GetAwaiter().GetResult(), error.GetAwaiter().GetResult());
    }

    /// <summary>Runs <paramref name="file"/> and returns what it printed.</summary>
    /// <exception cref="InvalidOperationException">It ended with an exit code other than 0; the message holds what it said.</exception>
    public static string Run(string file, params string[] arguments)
    {
        var result = Try(file, arguments);
        return result.ExitCode == 0
            ? result.Output
            : throw new InvalidOperationException(
                $"{file} {string.Join(' ', arguments)} ended with {result.ExitCode}: {result.Error.Trim()} {result.Output.Trim()}");
    }
}
