using System.Diagnostics;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Subjects;

/// <summary>A running `espalier run`, started in the caller's namespace. It dies with the caller (parent-death signal).</summary>
internal sealed class EspalierDaemon : IAsyncDisposable
{
    private readonly Process _process;
    private readonly List<string> _errors = [];

    private EspalierDaemon(Process process) => _process = process;

    /// <summary>Its process id: setpriv replaces itself by the daemon.</summary>
    public int ProcessId => _process.Id;

    /// <summary>Starts it and waits for the line `ready`.</summary>
    public static async Task<EspalierDaemon> StartAsync(string[] command)
    {
        var start = new ProcessStartInfo("setpriv") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["--pdeathsig", "KILL", "--", .. command])
        {
            start.ArgumentList.Add(argument);
        }

        var daemon = new EspalierDaemon(Process.Start(start) ?? throw new LabException("setpriv (util-linux) could not be started"));
        daemon._process.ErrorDataReceived += (_, line) => daemon.Keep(line.Data);
        daemon._process.BeginErrorReadLine();
        while (await daemon._process.StandardOutput.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            if (line == "ready")
            {
                return daemon;
            }
        }

        await daemon._process.WaitForExitAsync().ConfigureAwait(false);
        string why = daemon.LastErrors();
        await daemon.DisposeAsync().ConfigureAwait(false);
        throw new LabException($"the daemon did not start: {why}");
    }

    /// <summary>Ends it as a service manager would and returns its exit code.</summary>
    public async Task<int> StopAsync()
    {
        if (!_process.HasExited)
        {
            // The shell's own kill: a program of that name is not everywhere.
            using var kill = Process.Start("sh", ["-c", $"kill -TERM {_process.Id}"]);
            await kill.WaitForExitAsync().ConfigureAwait(false);
        }

        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        try
        {
            await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            _process.Kill();
            throw new LabException($"the daemon did not end within 10 s of SIGTERM: {LastErrors()}");
        }

        return _process.ExitCode;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync().ConfigureAwait(false);
        }

        _process.Dispose();
    }

    private void Keep(string? line)
    {
        lock (_errors)
        {
            if (line is not null && _errors.Count < 200)
            {
                _errors.Add(line);
            }
        }
    }

    private string LastErrors()
    {
        lock (_errors)
        {
            return _errors.Count == 0 ? "it said nothing" : string.Join(" | ", _errors.TakeLast(3));
        }
    }
}
