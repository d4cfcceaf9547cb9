using System.Diagnostics;
using Espalier.Lab.Hosts;

namespace Espalier.Lab.Net;

/// <summary>A program that runs until it is stopped, in a namespace of the lab.</summary>
internal sealed class LabChild : IAsyncDisposable
{
    private const int KeptLines = 200;

    private readonly Process _process;
    private readonly List<string> _lines = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Takes over a started process whose output is redirected.</summary>
    public LabChild(Process process)
    {
        _process = process;
        Id = process.Id;
        process.OutputDataReceived += (_, line) => Keep(line.Data);
        process.ErrorDataReceived += (_, line) => Keep(line.Data);
        process.EnableRaisingEvents = true;
        process.Exited += (_, _) => _ended.TrySetResult();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>Process id: `ip netns exec` and `taskset` replace themselves by the program.</summary>
    public int Id { get; }

    /// <summary>True once it has ended.</summary>
    public bool HasEnded => _process.HasExited;

    /// <summary>Its last lines, in one.</summary>
    public string LastLines
    {
        get
        {
            lock (_lines)
            {
                return _lines.Count == 0 ? "it said nothing" : string.Join(" | ", _lines.TakeLast(3));
            }
        }
    }

    /// <summary>True if it has said a line that contains <paramref name="text"/>.</summary>
    public bool HasSaid(string text)
    {
        lock (_lines)
        {
            return _lines.Exists(line => line.Contains(text, StringComparison.Ordinal));
        }
    }

    /// <summary>Waits until it says <paramref name="text"/>.</summary>
    public async Task ExpectAsync(string text, TimeSpan limit, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        while (!HasSaid(text))
        {
            if (HasEnded || clock.Elapsed > limit)
            {
                throw new LabException($"{_process.StartInfo.ArgumentList.FirstOrDefault(a => a.StartsWith('/')) ?? "the program"} did not start: {LastLines}");
            }

            await Task.Delay(20, cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>SIGTERM, and SIGKILL to one that does not heed it within five seconds. Returns false in that case.</summary>
    public async Task<bool> StopAsync()
    {
        if (!HasEnded)
        {
            await Shell.TryAsync(["sh", "-c", $"kill -TERM {Id}"], CancellationToken.None).ConfigureAwait(false);
        }

        bool heeded = await Task.WhenAny(_ended.Task, Task.Delay(TimeSpan.FromSeconds(5))).ConfigureAwait(false) == _ended.Task;
        if (!heeded)
        {
            Kill();
            await _ended.Task.ConfigureAwait(false);
        }

        return heeded;
    }

    /// <summary>SIGKILL.</summary>
    public void Kill()
    {
        if (!HasEnded)
        {
            _process.Kill();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        _process.Dispose();
    }

    private void Keep(string? line)
    {
        lock (_lines)
        {
            if (line is not null && _lines.Count < KeptLines)
            {
                _lines.Add(line);
            }
        }
    }
}
