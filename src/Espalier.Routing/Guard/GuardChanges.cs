namespace Espalier.Routing.Guard;

/// <summary>
/// What the control thread hands over to the guard's thread, in order. A change after a quiet time is taken at once; while changes come fast, they gather, unless
/// somebody waits for them (<see cref="Flush"/>).
/// </summary>
internal sealed class GuardChanges
{
    private const int GatherMilliseconds = 100;

    private readonly object _gate = new();

    // Under the gate.
    private List<Action> _waiting = [];
    private bool _flush;
    private bool _stop;
    private long _handedOver;
    private long _written;

    /// <summary>True where everything handed over so far is written, or was refused.</summary>
    internal bool IsSettled
    {
        get
        {
            lock (_gate)
            {
                return _written == _handedOver;
            }
        }
    }

    /// <summary>Hands over a change, which the guard's thread makes.</summary>
    internal void Post(Action change)
    {
        lock (_gate)
        {
            _waiting.Add(change);
            _handedOver++;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Waits until everything handed over so far is written, or was refused; false after the timeout.</summary>
    internal bool Flush(TimeSpan timeout)
    {
        long deadline = Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        lock (_gate)
        {
            long wanted = _handedOver;
            while (_written < wanted)
            {
                // Set anew, because each take of changes resets it.
                _flush = true;
                Monitor.PulseAll(_gate);
                long left = deadline - Environment.TickCount64;
                if (left <= 0 || !Monitor.Wait(_gate, (int)left))
                {
                    return false;
                }
            }

            return true;
        }
    }

    /// <summary>Ends <see cref="WaitForAny"/>, and every wait after it.</summary>
    internal void Stop()
    {
        lock (_gate)
        {
            _stop = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>The guard's thread: waits for a change, at most so long (-1 = for ever); false where it is to end.</summary>
    internal bool WaitForAny(int milliseconds)
    {
        lock (_gate)
        {
            bool late = false;
            while (_waiting.Count == 0 && !_stop && !late)
            {
                late = !Monitor.Wait(_gate, milliseconds);
            }

            return !_stop;
        }
    }

    /// <summary>The guard's thread: takes what waits.</summary>
    internal List<Action> Take()
    {
        lock (_gate)
        {
            var taken = _waiting;
            _waiting = [];
            _flush = false;
            return taken;
        }
    }

    /// <summary>The guard's thread: so many were written, or refused. Lets more gather, at least for <paramref name="rest"/>.</summary>
    internal void Finish(int count, TimeSpan rest)
    {
        lock (_gate)
        {
            _written += count;
            Monitor.PulseAll(_gate);
            long until = Environment.TickCount64 + Math.Max(GatherMilliseconds, (long)rest.TotalMilliseconds);
            while (!_stop && !_flush && until - Environment.TickCount64 is > 0 and var left)
            {
                Monitor.Wait(_gate, (int)left);
            }
        }
    }
}
