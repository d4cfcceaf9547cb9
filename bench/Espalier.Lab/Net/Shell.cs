using System.Diagnostics;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Net;

/// <summary>What a finished program said.</summary>
internal sealed record ShellResult(int ExitCode, string Output, string Error)
{
    /// <summary>Output and errors in one line, for a message.</summary>
    public string OneLine => string.Join(" | ", (Error + "\n" + Output).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).TakeLast(3));
}

/// <summary>Other programs, run to their end.</summary>
internal static class Shell
{
    /// <summary>Runs a program; it is killed, with its children, where <paramref name="cancellation"/> comes first.</summary>
    public static async Task<ShellResult> TryAsync(IReadOnlyList<string> command, CancellationToken cancellation, string? input = null)
    {
        using var process = Start(command, input is not null);
        var output = process.StandardOutput.ReadToEndAsync(CancellationToken.None);
        var error = process.StandardError.ReadToEndAsync(CancellationToken.None);
        try
        {
            if (input is not null)
            {
                await FeedAsync(process, input).ConfigureAwait(false);
            }

            await process.WaitForExitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return new ShellResult(process.ExitCode, await output.ConfigureAwait(false), await error.ConfigureAwait(false));
    }

    private static async Task FeedAsync(Process process, string input)
    {
        try
        {
            await process.StandardInput.WriteAsync(input).ConfigureAwait(false);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended before it read all: its exit code and output say why.
        }
    }

    /// <summary>Runs a program that must succeed; returns its output.</summary>
    public static async Task<string> RunAsync(IReadOnlyList<string> command, CancellationToken cancellation, string? input = null)
    {
        var result = await TryAsync(command, cancellation, input).ConfigureAwait(false);
        return result.ExitCode == 0
            ? result.Output
            : throw new LabException($"'{string.Join(' ', command.Take(12))}' ended with exit code {result.ExitCode}: {result.OneLine}");
    }

    /// <summary>Runs a program that must succeed, given as one line.</summary>
    public static Task<string> RunAsync(string command, CancellationToken cancellation) =>
        RunAsync(command.Split(' ', StringSplitOptions.RemoveEmptyEntries), cancellation);

    /// <summary>Starts a program with its streams redirected.</summary>
    public static Process Start(IReadOnlyList<string> command, bool withInput, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(command[0]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = withInput };
        foreach (string argument in command.Skip(1))
        {
            start.ArgumentList.Add(argument);
        }

        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        try
        {
            return Process.Start(start) ?? throw new LabException($"{command[0]} could not be started");
        }
        catch (System.ComponentModel.Win32Exception exception)
        {
            throw new LabException($"{command[0]} could not be started: {exception.Message}", exception);
        }
    }

    /// <summary>Adds the system's folders to the path, where the programs of subjects stand: a user's path often lacks them, and what is started finds only what is on it.</summary>
    public static void CompletePath()
    {
        string[] path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        Environment.SetEnvironmentVariable("PATH", string.Join(':', path.Union(["/usr/sbin", "/usr/bin", "/sbin", "/bin"])));
    }

    /// <summary>True if a program is found on the path.</summary>
    public static bool Has(string program) => Find(program) is not null;

    /// <summary>Where a program is; null if nowhere.</summary>
    public static string? Find(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
}
