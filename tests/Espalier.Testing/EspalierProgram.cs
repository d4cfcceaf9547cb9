using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Xunit;

namespace Espalier.Testing;

/// <summary>A running published daemon in a namespace, driven as a user drives it: `run`, `exec`, `stat`, SIGTERM.</summary>
public sealed class EspalierProgram : IDisposable
{
    private readonly NetworkNamespace _host;
    private readonly List<string> _log = [];

    private EspalierProgram(NetworkNamespace host, Process process, string control)
    {
        _host = host;
        Process = process;
        Control = control;
    }

    /// <summary>The published program.</summary>
    public static string Path { get; } = System.IO.Path.Combine(Root(), "artifacts/publish/Espalier/release/espalier");

    /// <summary>Top folder of the project.</summary>
    public static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(System.IO.Path.Combine(folder, "Espalier.slnx")))
        {
            folder = System.IO.Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("no Espalier.slnx above the test");
    }

    /// <summary>The daemon's process: `ip netns exec` replaces itself by it.</summary>
    public Process Process { get; }

    /// <summary>Its control socket.</summary>
    public string Control { get; }

    /// <summary>What it has logged so far.</summary>
    public string Log
    {
        get
        {
            lock (_log)
            {
                return string.Join('\n', _log);
            }
        }
    }

    /// <summary>
    /// Options that every daemon is started with besides the test's own, which come first: by them tests/run takes the same tests over another rung of the ladder.
    /// </summary>
    public const string OptionsVariable = "ESPALIER_TEST_OPTIONS";

    /// <summary>Starts it and waits for `ready`.</summary>
    public static EspalierProgram Start(NetworkNamespace host, params string[] options) => StartUnder(host, [], [.. options, .. RungOptions(options)]);

    /// <summary>
    /// Starts it by a program that replaces itself by what it is given, and waits for `ready`. It gets these options alone, also where
    /// <see cref="OptionsVariable"/> says more.
    /// </summary>
    public static EspalierProgram StartUnder(NetworkNamespace host, string[] launcher, string[] options)
    {
        ArgumentNullException.ThrowIfNull(host);
        string control = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"{host.Name}.sock");
        var process = Shell.Start(["ip", "netns", "exec", host.Name, .. launcher, Path, "run", "--control", control, "--tun", "esp0", .. options]);
        var daemon = new EspalierProgram(host, process, control);
        process.ErrorDataReceived += (_, line) =>
        {
            lock (daemon._log)
            {
                if (line.Data is not null)
                {
                    daemon._log.Add(line.Data);
                }
            }
        };
        process.BeginErrorReadLine();
        while (process.StandardOutput.ReadLine() is { } line)
        {
            if (line == "ready")
            {
                return daemon;
            }
        }

        process.WaitForExit();
        throw new InvalidOperationException($"espalier run ended with exit code {process.ExitCode}: {daemon.Log}");
    }

    // An option with a value is written --name=value, so that each word stands for itself.
    private static IEnumerable<string> RungOptions(string[] own) =>
        (Environment.GetEnvironmentVariable(OptionsVariable) ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Where(option => option != "--no-multiqueue" || !own.Contains("--workers"))
            .Where(option => !own.Any(other => other.Split('=')[0] == option.Split('=')[0]));

    /// <summary>`espalier exec -- PROGRAM`, in the daemon's namespace.</summary>
    public ShellResult Exec(string commandLine) => Exec(commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries));

    /// <summary>`espalier exec -- PROGRAM`, in the daemon's namespace.</summary>
    public ShellResult Exec(params string[] command) =>
        Shell.Run(["ip", "netns", "exec", _host.Name, Path, "exec", "--control", Control, "--", .. command]);

    /// <summary>`espalier stat --json`.</summary>
    public JsonObject Stat() =>
        JsonNode.Parse(Shell.Run(["ip", "netns", "exec", _host.Name, Path, "stat", "--control", Control, "--json"]).Expect().Output)!.AsObject();

    /// <summary>A drop counter by reason.</summary>
    public long Drops(string reason) => (long?)Stat()["drops"]?[reason] ?? 0;

    /// <summary>VmRSS and RssAnon in KiB.</summary>
    public (long VmRss, long RssAnon) Memory()
    {
        string[] lines = File.ReadAllLines($"/proc/{Process.Id}/status");
        long Field(string name) => long.Parse(
            lines.First(l => l.StartsWith(name, StringComparison.Ordinal))[name.Length..].Replace("kB", "", StringComparison.Ordinal), CultureInfo.InvariantCulture);
        return (Field("VmRSS:"), Field("RssAnon:"));
    }

    /// <summary>
    /// Resident memory in KiB (VmRSS) once the daemon has settled at <paramref name="limit"/> KiB or below, else what it has after 10 s. It settles some
    /// time after a flush is answered: what a flush leaves is given back when routes and guard are written too.
    /// </summary>
    public long SettledMemory(long limit) => Wait.ForValue(() => Memory().VmRss, resident => resident <= limit, seconds: 10);

    /// <summary>Sends SIGTERM and waits for the end.</summary>
    public int Stop()
    {
        Shell.Run($"kill -TERM {Process.Id}").Expect();
        Assert.True(Process.WaitForExit(TimeSpan.FromSeconds(10)), $"not ended 10 s after SIGTERM: {Log}");
        return Process.ExitCode;
    }

    /// <summary>Ends it without a chance to clean up.</summary>
    public void Kill()
    {
        Process.Kill();
        Process.WaitForExit();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!Process.HasExited)
        {
            Kill();
        }

        Process.Dispose();
        File.Delete(Control);
    }
}
