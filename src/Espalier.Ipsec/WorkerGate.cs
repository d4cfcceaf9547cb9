namespace Espalier.Ipsec;

/// <summary>
/// A worker's side of <see cref="IpsecDatabase.Freeze"/>. <see cref="Enter"/> and <see cref="Exit"/> cost one interlocked exchange each while
/// nobody freezes. Belongs to one thread at a time.
/// </summary>
public sealed class WorkerGate
{
    private readonly BatchTurnstile turnstile;
    private int inside;

    internal WorkerGate(BatchTurnstile turnstile) => this.turnstile = turnstile;

    internal bool IsInside => Volatile.Read(ref inside) != 0;

    /// <summary>Waits while the control thread has frozen or wants to freeze, then enters a batch.</summary>
    /// <exception cref="InvalidOperationException">The gate is inside a batch already.</exception>
    public void Enter()
    {
        // The exchange is a full fence: either the control thread sees this worker inside, or this worker sees that it is wanted.
        if (Interlocked.Exchange(ref inside, 1) != 0)
        {
            throw new InvalidOperationException("The worker is inside a batch already.");
        }

        if (turnstile.FreezeWanted)
        {
            Volatile.Write(ref inside, 0);
            turnstile.WaitThenEnter(this);
        }
    }

    /// <summary>Leaves the batch.</summary>
    /// <exception cref="InvalidOperationException">The gate is not inside a batch.</exception>
    public void Exit()
    {
        if (Interlocked.Exchange(ref inside, 0) == 0)
        {
            throw new InvalidOperationException("The worker is not inside a batch.");
        }

        if (turnstile.FreezeWanted)
        {
            turnstile.Notify();
        }
    }

    internal void MarkInside() => Volatile.Write(ref inside, 1);
}

/// <summary>
/// What the gates and the control threads share. Fair both ways: a freeze waits for at most the batch that each worker is in,
/// and a worker that waited for a freeze gets one batch before the next freeze, however fast freezes follow each other.
/// </summary>
internal sealed class BatchTurnstile
{
    private readonly object control = new();
    private readonly object turn = new();
    private WorkerGate[] gates = [];
    private int wanted;

    // Under `turn`.
    private int waiting;
    private int released;
    private long unfreezes;

    // Under `control`.
    private int depth;

    public bool FreezeWanted => Volatile.Read(ref wanted) != 0;

    /// <summary>Workers that wait for the freeze to end.</summary>
    internal int WaitingWorkers
    {
        get
        {
            lock (turn)
            {
                return waiting;
            }
        }
    }

    public bool IsFrozenByThisThread => Monitor.IsEntered(control);

    public WorkerGate Add()
    {
        lock (control)
        {
            var gate = new WorkerGate(this);
            gates = [.. gates, gate];
            return gate;
        }
    }

    public void Remove(WorkerGate gate)
    {
        lock (control)
        {
            gates = Array.FindAll(gates, other => other != gate);
        }
    }

    public void Freeze()
    {
        Monitor.Enter(control);
        if (++depth > 1)
        {
            return;
        }

        lock (turn)
        {
            while (released > 0)
            {
                Monitor.Wait(turn);
            }

            Interlocked.Exchange(ref wanted, 1);
            foreach (var gate in gates)
            {
                while (gate.IsInside)
                {
                    Monitor.Wait(turn);
                }
            }
        }
    }

    public void Unfreeze()
    {
        if (!Monitor.IsEntered(control))
        {
            throw new SynchronizationLockException("This thread has not frozen the database.");
        }

        if (--depth == 0)
        {
            lock (turn)
            {
                Volatile.Write(ref wanted, 0);
                unfreezes++;
                released = waiting;
                waiting = 0;
                Monitor.PulseAll(turn);
            }
        }

        Monitor.Exit(control);
    }

    public void WaitThenEnter(WorkerGate gate)
    {
        lock (turn)
        {
            Monitor.PulseAll(turn);
            if (wanted == 0)
            {
                gate.MarkInside();
                return;
            }

            waiting++;
            long before = unfreezes;
            while (unfreezes == before)
            {
                Monitor.Wait(turn);
            }

            gate.MarkInside();
            if (--released == 0)
            {
                Monitor.PulseAll(turn);
            }
        }
    }

    public void Notify()
    {
        lock (turn)
        {
            Monitor.PulseAll(turn);
        }
    }
}
