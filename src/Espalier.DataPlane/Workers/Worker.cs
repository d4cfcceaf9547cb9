using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Counters;
using Espalier.Io.Batches;
using Espalier.Io.Polling;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Workers;

/// <summary>
/// A thread that runs packets to completion: wait, rent a batch, receive, handle, again until nothing waits, return the batch, give way to others, look
/// once more. It keeps nothing between reading and writing; what comes faster than it works stays in the kernel's bounded queues, or is dropped there.
/// <code>
///   Created ──Start──▶ Running ──Stop──▶ Stopped
///                         └──a device is lost──▶ Failed (told once) ──Stop──▶ Stopped
/// </code>
/// </summary>
internal abstract class Worker : IDisposable
{
    // Devices in memory have no descriptor to wait on: they are looked at so often.
    private const int MemoryDevicePollMilliseconds = 1;

    // A device that is ready again and again and gives nothing (an error that does not go away) must not take a whole processor.
    private const int EmptyRoundsAllowed = 64;

    private readonly IpsecDatabase _database;
    private readonly BatchPool _pool;
    private readonly Thread _thread;
    private WorkerGate? _gate;
    private volatile bool _stopping;
    private bool _started;

    /// <summary>Creates the worker; it does nothing yet.</summary>
    protected Worker(string name, IpsecDatabase database, BatchPool pool, WorkerCounters counters)
    {
        _database = database;
        _pool = pool;
        Counters = counters;
        _thread = new Thread(Run) { Name = name, IsBackground = true };
    }

    /// <summary>What this worker counts.</summary>
    public WorkerCounters Counters { get; }

    /// <summary>Called on the worker's thread, once, when a device is lost. The worker has ended then.</summary>
    public Action<Exception>? Failed { get; set; }

    /// <summary>What it waits on.</summary>
    protected Poller Poller { get; } = new();

    /// <summary>True once it must end.</summary>
    protected bool IsStopping => _stopping;

    /// <summary>One of its devices has no descriptor.</summary>
    protected bool HasMemoryDevice { get; set; }

    /// <summary>Starts the thread.</summary>
    public void Start()
    {
        _gate = _database.AddWorker();
        try
        {
            _thread.Start();
            _started = true;
        }
        catch (OutOfMemoryException)
        {
            // The limit of threads is reached.
            _database.RemoveWorker(_gate);
            throw;
        }
    }

    /// <summary>Makes it look at its devices again.</summary>
    public void Wake() => Poller.Wake();

    /// <summary>Ends the thread after the batch at hand, and waits for that. Not called by a thread that holds a freeze.</summary>
    public void Stop()
    {
        _stopping = true;
        if (_started)
        {
            Poller.Wake();
            _thread.Join();
            _started = false;
            _database.RemoveWorker(_gate!);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        Poller.Dispose();
    }

    /// <summary>Waits for its devices; returns when there may be something.</summary>
    protected abstract void Wait(int timeoutMilliseconds);

    /// <summary>Takes what waits, a bounded amount, through <paramref name="batch"/>. False when nothing is left.</summary>
    protected abstract bool Work(PacketBatch batch);

    /// <summary>Called when nothing waits any more, outside the gate: who makes the next packets may need this processor. Then the devices are looked at again.</summary>
    protected virtual void GiveWay() => Thread.Yield();

    /// <summary>Handles one batch inside the gate.</summary>
    protected void Handle<TState>(Action<TState, PacketBatch> handler, TState state, PacketBatch batch)
    {
        _gate!.Enter();
        try
        {
            handler(state, batch);
        }
        finally
        {
            _gate.Exit();
        }
    }

    private void Run()
    {
        try
        {
            bool more = true;
            int emptyRounds = 0;
            while (!_stopping)
            {
                Wait(more ? 0 : HasMemoryDevice ? MemoryDevicePollMilliseconds : -1);
                long batches = Counters.Read(TrafficCounter.Batches);
                more = !_stopping && WorkOnce();
                if (Counters.Read(TrafficCounter.Batches) == batches)
                {
                    emptyRounds++;
                }
                else
                {
                    emptyRounds = 0;
                    if (!more)
                    {
                        GiveWay();
                        more = true;
                    }
                }

                if (emptyRounds > EmptyRoundsAllowed)
                {
                    Thread.Sleep(1);
                }
            }
        }
        catch (Exception exception) when (Failed is not null)
        {
            Failed(exception);
        }
    }

    private bool WorkOnce()
    {
        if (_pool.TryRent() is not { } batch)
        {
            // The packets stay in the kernel's queue; a batch comes back as soon as another worker is through.
            Counters.Add(TrafficCounter.BatchesMissing);
            Thread.Sleep(1);
            return true;
        }

        try
        {
            return Work(batch);
        }
        finally
        {
            _pool.Return(batch);
        }
    }
}
