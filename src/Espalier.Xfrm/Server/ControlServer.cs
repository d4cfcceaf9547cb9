using System.Security.Cryptography;
using Espalier.Io;
using Espalier.Io.UnixSockets;
using Espalier.Ipsec;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Microsoft.Extensions.Logging;

namespace Espalier.Xfrm.Server;

/// <summary>
/// The control socket: XFRM netlink for programs behind the preload library and for <see cref="Client.XfrmClient"/>, the events of the workers, and limits of
/// time, all on one thread (<see cref="Loop"/>). Clients, what waits for each of them, and requests are bounded.
/// </summary>
public sealed class ControlServer : IXfrmListeners, IDisposable
{
    /// <summary>Bytes of the longest request.</summary>
    internal const int MaximumRequest = 64 * 1024;

    private const int LongestSleepMilliseconds = 60_000;

    private readonly IpsecDatabase _database;
    private readonly ILogger _logger;
    private readonly XfrmService _service;
    private readonly EncapsulationRegistry _encapsulation = new();
    private readonly ConnectionMessages _connectionMessages;
    private bool _disposed;

    /// <summary>Creates a server that does not listen yet.</summary>
    public ControlServer(IpsecDatabase database, ControlServerOptions options, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(database);
        ArgumentNullException.ThrowIfNull(options);
        _database = database;
        _logger = logger;
        Options = options;
        var refusals = new RefusalLog(reason => ControlLog.RequestRefused(logger, reason), database.Clock);
        _service = new XfrmService(database, this, options.Xfrm) { Unsupported = refusals.Say, Failed = exception => ControlLog.RequestFailed(logger, exception) };
        _connectionMessages = new ConnectionMessages(options, _encapsulation, logger);
        Requests = new ControlRequests(database, _service, _connectionMessages, Counters, logger);
        Clients = new ClientTable(this, _encapsulation, database.Clock, logger);
        database.Events.Signal = Loop.Wake;
        Loop.AfterRound = AfterRound;
    }

    /// <summary>The control thread, for others that must run on it.</summary>
    public ControlLoop Loop { get; } = new();

    /// <summary>What was counted.</summary>
    public ControlCounters Counters { get; } = new();

    /// <summary>Makes the document that STAT answers, UTF-8 JSON. On the control thread.</summary>
    public Func<byte[]>? Statistics
    {
        get => _connectionMessages.Statistics;
        set => _connectionMessages.Statistics = value;
    }

    /// <summary>Told of path MTUs that were learnt from ICMP. On the control thread, workers frozen.</summary>
    public Action<IpsecEvent>? PathMtuLearnt
    {
        get => _service.Events.PathMtuLearnt;
        set => _service.Events.PathMtuLearnt = value;
    }

    /// <summary>
    /// Called after each request that may have changed SAD, SPD or defaults, before it is answered, so that what follows from it can be in force by then.
    /// On the control thread, workers running.
    /// </summary>
    public Action? Changed
    {
        get => _service.Changed;
        set => _service.Changed = value;
    }

    /// <summary>Takes over ESP on the ports of IKE daemons; null: they are refused. Called on the control thread.</summary>
    public IEncapsulationPorts? EncapsulationPorts
    {
        get => _encapsulation.Ports;
        set => _encapsulation.Ports = value;
    }

    internal ControlServerOptions Options { get; }

    /// <summary>Who is served.</summary>
    internal ClientTable Clients { get; }

    /// <summary>What they ask.</summary>
    internal ControlRequests Requests { get; }

    internal byte[] ReceiveBuffer { get; } = GC.AllocateArray<byte>(MaximumRequest, pinned: true);

    internal XfrmService Service => _service;

    /// <summary>Bytes that wait for clients. Control thread.</summary>
    internal long WaitingBytes => Clients.All.Sum(client => (long)client.WaitingBytes);

    /// <summary>Binds the socket, and starts the control thread, on which <paramref name="entered"/> runs first.</summary>
    /// <exception cref="DeviceException">The socket is in use or cannot be made; one line says what to do.</exception>
    public void Start(Action? entered = null)
    {
        Clients.Listen(ControlListener.Bind(Options.Path));
        ControlLog.Listening(_logger, Options.Path);
        Loop.Start(entered);
    }

    /// <summary>Ends the control thread, closes every client, removes the socket's file. SAs and policies stay.</summary>
    public void Stop()
    {
        Loop.Stop();
        Clients.Close();
    }

    /// <summary>Stops.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            Stop();
            _database.Events.Signal = null;
            _service.Dispose();
            Loop.Dispose();
            CryptographicOperations.ZeroMemory(ReceiveBuffer);
        }
    }

    bool IXfrmListeners.Has(XfrmGroup group)
    {
        foreach (var client in Clients.All)
        {
            if ((client.Groups & Bit(group)) != 0)
            {
                return true;
            }
        }

        return false;
    }

    void IXfrmListeners.Publish(XfrmGroup group, ReadOnlySpan<byte> datagram)
    {
        foreach (var client in Clients.All)
        {
            if ((client.Groups & Bit(group)) != 0 && !client.Notify(datagram))
            {
                Counters.NotificationsLost++;
                if (client.Lost == 1)
                {
                    ControlLog.ClientDoesNotRead(_logger, Options.MaximumQueuedBytes);
                }
            }
        }
    }

    private static uint Bit(XfrmGroup group) => 1u << ((int)group - 1);

    private int AfterRound()
    {
        bool more = _service.Events.Drain();
        _service.Events.RunDue();
        int untilReplay = _service.Events.NotifyReplay();
        Clients.DropDead();
        Counters.Requests = _service.Requests;
        Counters.Errors = _service.Failures;
        Counters.Acquires = _service.Events.Acquires;
        Counters.AcquireErrors = _service.Events.AcquireErrors;
        Counters.Expirations = _service.Events.Expirations;
        Counters.Mappings = _service.Events.Mappings;
        int untilDue = MillisecondsToNextDue();
        return more ? 0 : untilDue < 0 ? untilReplay : untilReplay < 0 ? untilDue : Math.Min(untilDue, untilReplay);
    }

    private int MillisecondsToNextDue()
    {
        long wait = Clients.Patience;
        if (_service.Events.NextDue is { } due)
        {
            long now = _database.Clock.GetUtcNow().ToUnixTimeMilliseconds();
            long left = due > long.MaxValue / 1000 ? int.MaxValue : (long)due * 1000 - now;

            // Not too long, because the clock of limits may be set while this thread sleeps.
            wait = Math.Clamp(left, 0, Math.Min(wait, LongestSleepMilliseconds));
        }

        return wait == int.MaxValue ? -1 : (int)wait;
    }
}
