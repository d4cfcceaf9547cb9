using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Espalier.Io;
using Espalier.Io.Interop;
using Espalier.Io.Processes;
using Espalier.Io.UnixSockets;
using Espalier.Ipsec;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using Microsoft.Extensions.Logging;

namespace Espalier.Xfrm.Server;

/// <summary>
/// The control socket: XFRM netlink for programs behind the preload library and for <see cref="Client.XfrmClient"/>, the events of the workers, and limits of
/// time, all on one thread (<see cref="Loop"/>). Clients, what waits for each of them, and requests are bounded.
/// </summary>
public sealed partial class ControlServer : IXfrmListeners, IDisposable
{
    private const int MaximumRequest = 64 * 1024;
    private const int MaximumRefusedClients = 32;
    private const int RefusedMilliseconds = 5000;
    private const int AcceptAtATime = 16;
    private const int LongestSleepMilliseconds = 60_000;
    private const int RetryMilliseconds = 1000;

    private readonly IpsecDatabase _database;
    private readonly ILogger _logger;
    private readonly XfrmService _service;
    private readonly PeerPolicy _policy;
    private readonly List<ControlClient> _clients = [];
    private readonly EncapsulationRegistry _encapsulation = new();
    private readonly NetlinkWriter _writer = new(2 * XfrmContext.MaximumDatagram);

    // DONE of a request of the greatest length, made of the shortest messages.
    private readonly NetlinkWriter _done = new(NetlinkHeader.Size + sizeof(uint) + MaximumRequest / NetlinkHeader.Size * sizeof(uint));
    private readonly RefusalLog _refusals;
    private ControlListener? _listener;
    private ControlLoop.Registration? _listening;
    private long _acceptAgain = long.MaxValue;
    private bool _disposed;

    /// <summary>Creates a server that does not listen yet.</summary>
    public ControlServer(IpsecDatabase database, ControlServerOptions options, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(database);
        ArgumentNullException.ThrowIfNull(options);
        _database = database;
        _logger = logger;
        Options = options;
        _policy = new PeerPolicy(options, UserDirectory.EffectiveUser);
        _refusals = new RefusalLog(logger, database.Clock);
        _service = new XfrmService(database, this, options.Xfrm) { Unsupported = _refusals.Say };
        database.Events.Signal = Loop.Wake;
        Loop.AfterRound = AfterRound;
    }

    /// <summary>The control thread, for others that must run on it.</summary>
    public ControlLoop Loop { get; } = new();

    /// <summary>What was counted.</summary>
    public ControlCounters Counters { get; } = new();

    /// <summary>Makes the document that STAT answers, UTF-8 JSON. On the control thread.</summary>
    public Func<byte[]>? Statistics { get; set; }

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

    internal byte[] ReceiveBuffer { get; } = GC.AllocateArray<byte>(MaximumRequest, pinned: true);

    internal XfrmService Service => _service;

    /// <summary>Bytes that wait for clients. Control thread.</summary>
    internal long WaitingBytes => _clients.Sum(client => (long)client.WaitingBytes);

    /// <summary>Binds the socket, and starts the control thread, on which <paramref name="entered"/> runs first.</summary>
    /// <exception cref="DeviceException">The socket is in use or cannot be made; one line says what to do.</exception>
    public void Start(Action? entered = null)
    {
        _listener = ControlListener.Bind(Options.Path);
        _listening = Loop.Register(_listener.PollDescriptor, _ => Accept());
        Log.Listening(_logger, Options.Path);
        Loop.Start(entered);
    }

    /// <summary>Ends the control thread, closes every client, removes the socket's file. SAs and policies stay.</summary>
    public void Stop()
    {
        Loop.Stop();
        _listening?.Dispose();
        _listening = null;
        _listener?.Dispose();
        _listener = null;
        foreach (var client in _clients)
        {
            client.Dispose();
        }

        _clients.Clear();
        Counters.Clients = 0;
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
        foreach (var client in _clients)
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
        foreach (var client in _clients)
        {
            if ((client.Groups & Bit(group)) != 0 && !client.Notify(datagram))
            {
                Counters.NotificationsLost++;
                if (client.Lost == 1)
                {
                    Log.ClientDoesNotRead(_logger, Options.MaximumQueuedBytes);
                }
            }
        }
    }

    /// <summary>Handles a datagram on a client's connection.</summary>
    internal void HandleOnLease(ControlClient client, Span<byte> datagram, ref SafeDescriptor? descriptor)
    {
        try
        {
            var reader = new NetlinkMessageReader(datagram);
            while (reader.MoveNext())
            {
                if (reader.Header.Type >= ControlMessage.First)
                {
                    HandlePrivate(client, reader.Message, reader.Header, ref descriptor);
                }
                else if (client.IsAttached)
                {
                    Answer(client, reader.Message, reader.Header, XfrmError.Invalid("This client is attached: XFRM requests go to the attached socket"));
                }
                else
                {
                    HandleXfrm(client, reader.Message);
                }
            }

            Counters.Malformed += reader.Malformed ? 1 : 0;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(datagram);
        }
    }

    /// <summary>Handles a datagram on an attached socket. Returns the errno that the client's send fails with, 0 for none.</summary>
    internal int HandleOnAttached(ControlClient client, Span<byte> datagram, bool truncated)
    {
        try
        {
            if (truncated)
            {
                Counters.Malformed++;
                return LinuxError.MessageTooLong;
            }

            HandleXfrm(client, datagram);
            return 0;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(datagram);
        }
    }

    /// <summary>Tells the preload library that the request with this sequence number is handled, and how each of its messages ended.</summary>
    internal void SendDone(ControlClient client, uint sequence, int errno)
    {
        _done.Begin(ControlMessage.Done, 0, sequence, 0);
        _done.Reserve<uint>() = (uint)errno;
        _done.Append(MemoryMarshal.AsBytes(errno == 0 ? _service.Outcomes : []));
        _done.End();
        client.SendOnLease(_done.Written);
        _done.Clear();
    }

    /// <summary>Makes and sends the next part of a dump.</summary>
    internal void WritePart(PagedAnswer answer, ControlClient client)
    {
        using (_database.Freeze())
        {
            answer.WritePart(_writer);
        }

        client.Reply(_writer.Written);
        _writer.Clear();
    }

    /// <summary>Answers a message that cannot be handled at all; false, for the client must go.</summary>
    internal bool RefuseDatagram(ControlClient client, XfrmError error, ReadOnlySpan<byte> datagram = default)
    {
        var header = datagram.Length >= NetlinkHeader.Size ? MemoryMarshal.Read<NetlinkHeader>(datagram) : default;
        Span<byte> quoted = stackalloc byte[NetlinkHeader.Size];
        MemoryMarshal.Write(quoted, header);
        Answer(client, quoted, header, error);
        return false;
    }

    /// <summary>Tells a client that may not be served the reason, and forgets it.</summary>
    internal void TurnAway(ControlClient client)
    {
        client.TellRefusal();
        Drop(client);
    }

    /// <summary>Forgets a client.</summary>
    internal void Drop(ControlClient client)
    {
        if (_clients.Remove(client))
        {
            client.Dispose();
            _encapsulation.Release(client);
            Counters.Clients = _clients.Count;
            Log.ClientGone(_logger, client.IsAttached, client.Lost);
        }
    }

    private static uint Bit(XfrmGroup group) => 1u << ((int)group - 1);

    private void HandleXfrm(ControlClient client, ReadOnlySpan<byte> datagram)
    {
        try
        {
            _service.Handle(datagram, client);
        }
#pragma warning disable CA1031 // A bug of ours in one request must not end the data plane; it is logged, and the client is told.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _service.Context.Writer.Clear();
            Log.RequestFailed(_logger, exception);
            var header = datagram.Length >= NetlinkHeader.Size ? MemoryMarshal.Read<NetlinkHeader>(datagram) : default;
            _service.Acknowledge(datagram[..NetlinkHeader.Size], header, client, new XfrmError(LinuxError.InputOutput, "Espalier failed; its log says more"));
        }
    }

    private void Accept()
    {
        int errno = 0;
        for (int left = AcceptAtATime; left > 0 && _listener!.TryAccept(out var connection, out errno); left--)
        {
            Admit(connection);
        }

        if (errno != 0)
        {
            // No descriptor is free, say: the connection still waits, and poll would say so at once.
            Log.AcceptFailed(_logger, errno);
            _listening!.Want(read: false, write: false);
            _acceptAgain = Environment.TickCount64 + RetryMilliseconds;
        }
    }

    private void Admit(UnixConnection connection)
    {
        Counters.Accepted++;
        var refusal = _policy.Check(connection);
        Counters.Refused += refusal.Failed ? 1 : 0;
        if (refusal.Failed)
        {
            Log.ClientRefused(_logger, refusal.Text!);
        }
        else if (_clients.Count(client => !client.Refusal.Failed) >= Options.MaximumClients)
        {
            Counters.TooMany++;
            Log.TooManyClients(_logger, Options.MaximumClients);
            refusal = new XfrmError(LinuxError.Busy, $"This data plane serves {Options.MaximumClients} clients already, and no more: end some of them");
        }

        if (refusal.Failed && _clients.Count(client => client.Refusal.Failed) >= MaximumRefusedClients)
        {
            TurnAway(_clients.First(client => client.Refusal.Failed));
        }

        _clients.Add(new ControlClient(this, connection, refusal) { RefusalEnds = Environment.TickCount64 + RefusedMilliseconds });
        Counters.Clients = _clients.Count;
    }

    private int AfterRound()
    {
        bool more = _service.Events.Drain();
        _service.Events.RunDue();
        int untilReplay = _service.Events.NotifyReplay();
        DropDead();
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
        long wait = _acceptAgain != long.MaxValue ? RetryMilliseconds
            : _clients.Exists(client => client.Refusal.Failed) ? RefusedMilliseconds : int.MaxValue;
        if (_service.Events.NextDue is { } due)
        {
            long now = _database.Clock.GetUtcNow().ToUnixTimeMilliseconds();
            long left = due > long.MaxValue / 1000 ? int.MaxValue : (long)due * 1000 - now;

            // Not too long, because the clock of limits may be set while this thread sleeps.
            wait = Math.Clamp(left, 0, Math.Min(wait, LongestSleepMilliseconds));
        }

        return wait == int.MaxValue ? -1 : (int)wait;
    }

    private void DropDead()
    {
        long now = Environment.TickCount64;
        for (int i = _clients.Count - 1; i >= 0; i--)
        {
            var client = _clients[i];
            if (client.IsBroken)
            {
                Drop(client);
            }
            else if (client.Refusal.Failed && client.RefusalEnds <= now)
            {
                TurnAway(client);
            }
        }

        if (_acceptAgain <= now)
        {
            _acceptAgain = long.MaxValue;
            _listening?.Want(read: true, write: false);
        }
    }
}
