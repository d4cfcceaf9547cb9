using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Inbound;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;

namespace Espalier.DataPlane.Workers;

/// <summary>
/// Outer sockets, and their error queues, to TUN. Each socket that has something gets one batch in turn, and the sockets are looked at again
/// after a few turns, so that a flood on one does not keep the others waiting.
/// </summary>
internal sealed class InboundWorker : Worker
{
    private const int TurnsAtOnce = 4;

    private static readonly Action<InboundWorker, PacketBatch> Process =
        static (worker, batch) => worker._pipeline.Process(batch, worker._current!);

    private static readonly Action<InboundWorker, PacketBatch> DrainErrors =
        static (worker, _) => worker._errors.Drain(worker._current!);

    private readonly OuterSocketTable _table;
    private readonly int _worker;
    private readonly InboundPipeline _pipeline;
    private readonly OuterErrorReader _errors;
    private OuterSocketSnapshot? _snapshot;
    private IOuterSocket[] _sockets = [];
    private bool[] _readable = [];
    private bool[] _inError = [];
    private IOuterSocket? _current;

    /// <summary>Creates it.</summary>
    public InboundWorker(string name, PipelineEnvironment environment, WorkerCounters counters)
        : base(name, environment.Database, environment.ReceivePool, counters)
    {
        _table = environment.Sockets;
        _worker = environment.Worker;
        _pipeline = new InboundPipeline(environment, counters);
        _errors = new OuterErrorReader(environment.Database, environment.LocalPathMtu, counters, environment.DefaultPathMtu, environment.Devices.Relay);
    }

    /// <inheritdoc/>
    protected override void Wait(int timeoutMilliseconds)
    {
        TakeSockets();
        foreach (ref readonly var found in Poller.Wait(timeoutMilliseconds))
        {
            _readable[found.Token] = true;
            _inError[found.Token] |= found.Error;
        }

        // The table may have changed during the wait; what was found speaks of the sockets before.
        TakeSockets();
        for (int i = 0; HasMemoryDevice && i < _readable.Length; i++)
        {
            _readable[i] |= _sockets[i].PollDescriptor < 0;
            _inError[i] |= _sockets[i].PollDescriptor < 0;
        }
    }

    /// <inheritdoc/>
    protected override bool Work(PacketBatch batch)
    {
        ReadErrors(batch);
        bool more = true;
        for (int turn = 0; turn < TurnsAtOnce && more && !IsStopping; turn++)
        {
            more = false;
            for (int i = 0; i < _readable.Length; i++)
            {
                if (_readable[i])
                {
                    _readable[i] = Receive(_sockets[i], batch);
                    more |= _readable[i];
                }
            }
        }

        return more;
    }

    private bool Receive(IOuterSocket socket, PacketBatch batch)
    {
        int slots = socket.Receive(batch);
        if (slots > 0)
        {
            _current = socket;
            Handle(Process, this, batch);
        }

        return slots == batch.Capacity;
    }

    private void ReadErrors(PacketBatch batch)
    {
        for (int i = 0; i < _inError.Length; i++)
        {
            if (_inError[i])
            {
                _inError[i] = false;
                _current = _sockets[i];
                Handle(DrainErrors, this, batch);
            }
        }
    }

    private void TakeSockets()
    {
        var now = _table.Current;
        if (ReferenceEquals(now, _snapshot))
        {
            return;
        }

        foreach (var socket in _sockets)
        {
            if (socket.PollDescriptor >= 0)
            {
                Poller.Remove(socket.PollDescriptor);
            }
        }

        _snapshot = now;
        _sockets = now.SocketsOf(_worker);
        _current = null;
        _readable = new bool[_sockets.Length];
        _inError = new bool[_sockets.Length];
        HasMemoryDevice = false;
        for (int i = 0; i < _sockets.Length; i++)
        {
            int descriptor = _sockets[i].PollDescriptor;
            HasMemoryDevice |= descriptor < 0;
            if (descriptor >= 0)
            {
                Poller.Add(descriptor, i);
            }
        }

        // Nothing waits on the sockets that were taken out any more.
        _table.DisposeRetired(_worker);
    }
}
