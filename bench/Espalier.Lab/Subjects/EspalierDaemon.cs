using System.ComponentModel;
using System.Diagnostics;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Subjects;

/// <summary>
/// A running `espalier run`, started in the caller's namespace. It dies with the caller: the kernel sends the parent-death signal when the thread that
/// started it ends, so a thread of its own starts it and waits for its end. A thread of the pool would end when it is idle, and the daemon with it.
/// </summary>
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

        var daemon = new EspalierDaemon(await StartOnLastingThread(start).ConfigureAwait(false));
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

    /// <summary>Why a request to it failed, if that is because it has ended: exit code and last lines. Null while it runs.</summary>
    public async Task<string?> WhyEndedAsync()
    {
        // A connection that breaks off is seen before the end of the process.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return null;
        }

        return $"the daemon ended with exit code {_process.ExitCode}: {LastErrors()}";
    }

    private static Task<Process> StartOnLastingThread(ProcessStartInfo start)
    {
        var started = new TaskCompletionSource<Process>(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            int pid;
            try
            {
                var process = Process.Start(start)!;
                pid = process.Id;
                started.SetResult(process);
            }
            catch (Win32Exception exception)
            {
                started.SetException(new LabException($"setpriv (util-linux) could not be started: {exception.Message}"));
                return;
            }

            WaitForEnd(pid);
        })
        {
            IsBackground = true,
            Name = "daemon",
        };
        thread.Start();
        return started.Task;
    }

    // Not on the process object, which its user may dispose of at any time.
    private static void WaitForEnd(int pid)
    {
        try
        {
            using var process = Process.GetProcessById(pid);
            process.WaitForExit();
        }
        catch (ArgumentException)
        {
            // It has ended already.
        }
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
