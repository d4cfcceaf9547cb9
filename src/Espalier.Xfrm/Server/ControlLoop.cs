using System.Collections.Concurrent;
using Espalier.Io.Polling;

namespace Espalier.Xfrm.Server;

/// <summary>
/// The control thread: waits on descriptors, runs what other threads post, and keeps time. Everything that changes the SAD, the SPD or the host's
/// routing runs here, one thing after the other.
/// </summary>
public sealed class ControlLoop : IDisposable
{
    private readonly Poller _poller = new();
    private readonly Dictionary<int, Registration> _registrations = [];
    private readonly ConcurrentQueue<Action> _posted = new();
    private readonly List<Periodic> _periodic = [];

    // What continues it may run on the control thread, which is at its end then: a thread of the pool may not be had.
    private readonly TaskCompletionSource _completion = new();
    private readonly Lock _gate = new();
    private Thread? _thread;
    private volatile bool _stopping;
    private int _nextToken;

    /// <summary>Called after each round: does what is pending and says in how many milliseconds it wants to be called at the latest, -1 = no limit.</summary>
    internal Func<int>? AfterRound { get; set; }

    /// <summary>
    /// As <see cref="AfterRound"/>, for others that follow what changes on the control thread (routing). Set before <see cref="Start"/> or on the control thread.
    /// </summary>
    public Func<int>? EachTurn { get; set; }

    /// <summary>Ends when the loop ends: well after <see cref="Stop"/>, or with the exception that ended it. A daemon whose loop ended must end.</summary>
    public Task Completion => _completion.Task;

    /// <summary>True on the control thread.</summary>
    public bool IsCurrentThread => Thread.CurrentThread == _thread;

    /// <summary>Calls <paramref name="readable"/> on the control thread whenever the descriptor is readable or in error, until the result is disposed. Any thread.</summary>
    public IDisposable Register(int descriptor, Action readable)
    {
        ArgumentNullException.ThrowIfNull(readable);
        return Register(descriptor, _ => readable());
    }

    /// <summary>As above, with what was found about the descriptor.</summary>
    internal Registration Register(int descriptor, Action<PollEvent> ready)
    {
        lock (_gate)
        {
            var registration = new Registration(this, descriptor, _nextToken++, ready);
            _registrations.Add(registration.Token, registration);
            _poller.Add(descriptor, registration.Token);
            return registration;
        }
    }

    /// <summary>Runs <paramref name="action"/> on the control thread, soon. Any thread. Actions posted after the loop has ended are not run.</summary>
    public void Post(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        _posted.Enqueue(action);
        _poller.Wake();
    }

    /// <summary>Runs <paramref name="action"/> on the control thread every <paramref name="period"/>, roughly. Before <see cref="Start"/>, or on the control thread.</summary>
    public void Every(TimeSpan period, Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(period, TimeSpan.Zero);
        _periodic.Add(new Periodic((long)period.TotalMilliseconds, action) { Due = Environment.TickCount64 + (long)period.TotalMilliseconds });
    }

    /// <summary>Makes the loop go round once. Any thread; neither blocks nor allocates.</summary>
    public void Wake() => _poller.Wake();

    /// <summary>Starts the control thread. <paramref name="entered"/> runs on it first.</summary>
    public void Start(Action? entered = null)
    {
        _thread = new Thread(() => Run(entered)) { IsBackground = true, Name = "espalier-control" };
        try
        {
            _thread.Start();
        }
        catch (OutOfMemoryException)
        {
            // The limit of threads is reached: there is nothing to stop.
            _thread = null;
            throw;
        }
    }

    /// <summary>Ends the loop and waits for it; on the control thread itself it only asks. Its failure, if any, is in <see cref="Completion"/>.</summary>
    public void Stop()
    {
        _stopping = true;
        _poller.Wake();
        if (!IsCurrentThread)
        {
            _thread?.Join();
        }
    }

    /// <summary>Ends the loop.</summary>
    public void Dispose()
    {
        Stop();
        _poller.Dispose();
    }

    private void Run(Action? entered)
    {
        try
        {
            entered?.Invoke();
            while (!_stopping)
            {
                Round();
            }

            _completion.SetResult();
        }
#pragma warning disable CA1031 // Carried to whoever waits for the loop: the daemon ends with it.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _completion.SetException(exception);
        }
    }

    private void Round()
    {
        int wait = Sooner(AfterRound?.Invoke() ?? -1, EachTurn?.Invoke() ?? -1);
        foreach (var found in _poller.Wait(Sooner(wait, UntilPeriodic())))
        {
            Registration? registration;
            lock (_gate)
            {
                _registrations.TryGetValue(found.Token, out registration);
            }

            registration?.Ready(found);
        }

        // What is posted while these run waits for the next round.
        for (int left = _posted.Count; left > 0 && _posted.TryDequeue(out var action); left--)
        {
            action();
        }

        RunPeriodic();
    }

    private int UntilPeriodic()
    {
        int wait = -1;
        foreach (var periodic in _periodic)
        {
            wait = Sooner(wait, (int)Math.Clamp(periodic.Due - Environment.TickCount64, 0, int.MaxValue));
        }

        return _posted.IsEmpty ? wait : 0;
    }

    private void RunPeriodic()
    {
        long now = Environment.TickCount64;
        for (int i = 0; i < _periodic.Count; i++)
        {
            if (_periodic[i].Due <= now)
            {
                _periodic[i].Due = now + _periodic[i].Period;
                _periodic[i].Action();
            }
        }
    }

    /// <summary>The smaller of two waits in milliseconds, of which -1 is none.</summary>
    public static int Sooner(int one, int other) => one < 0 ? other : other < 0 ? one : Math.Min(one, other);

    private void Remove(Registration registration)
    {
        lock (_gate)
        {
            if (_registrations.Remove(registration.Token))
            {
                _poller.Remove(registration.Descriptor);
            }
        }
    }

    /// <summary>A descriptor in the loop. Disposed of before the descriptor is closed.</summary>
    internal sealed class Registration(ControlLoop loop, int descriptor, int token, Action<PollEvent> ready) : IDisposable
    {
        private bool _read = true;
        private bool _write;

        public int Descriptor => descriptor;

        public int Token => token;

        public Action<PollEvent> Ready => ready;

        /// <summary>What to wait for, besides errors and hang-ups.</summary>
        public void Want(bool read, bool write)
        {
            if (read != _read || write != _write)
            {
                _read = read;
                _write = write;
                loop._poller.Want(descriptor, read, write);
            }
        }

        public void Dispose() => loop.Remove(this);
    }

    private sealed class Periodic(long period, Action action)
    {
        public long Period => period;

        public Action Action => action;

        public long Due { get; set; }
    }
}
