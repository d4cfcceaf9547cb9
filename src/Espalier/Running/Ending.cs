namespace Espalier.Running;

/// <summary>
/// Why the daemon ends: the first reason counts. Any thread tells it, one waits for it. No task: what continues one may need a thread of the pool, which a limit of threads may refuse.
/// </summary>
internal sealed class Ending
{
    private readonly object _gate = new();
    private (string Reason, bool IsFailure)? _first;

    /// <summary>A signal, or a failure: a device is lost, or the control thread is at its end.</summary>
    internal void Tell(string reason, bool isFailure)
    {
        lock (_gate)
        {
            _first ??= (reason, isFailure);
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits for the first reason.</summary>
    internal (string Reason, bool IsFailure) Wait()
    {
        lock (_gate)
        {
            while (_first is null)
            {
                Monitor.Wait(_gate);
            }

            return _first.Value;
        }
    }
}
