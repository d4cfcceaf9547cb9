using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Espalier.Io.Polling;
using Espalier.Io.UnixSockets;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Server;

/// <summary>
/// One client: its connection (the lease), and after ATTACH the socket B on which it speaks XFRM. Unattached it speaks XFRM on the connection
/// itself. It lives as long as the connection. Control thread only.
/// </summary>
internal sealed class ControlClient : IXfrmPeer, IDisposable
{
    // Parts of a dump made in one go, so that one client cannot keep the thread.
    private const int PartsAtATime = 16;

    // NLMSG_OVERRUN (linux/netlink.h: "data lost"), a header alone, in the host's byte order.
    private static readonly byte[] Overrun = [.. BitConverter.GetBytes(16), .. BitConverter.GetBytes((ushort)4), .. new byte[10]];

    private readonly ControlServer _server;
    private readonly ClientChannel _lease;
    private ClientChannel? _attached;
    private PagedAnswer? _dump;
    private bool _overrunSaid;

    public ControlClient(ControlServer server, UnixConnection connection, XfrmError refusal)
    {
        _server = server;
        Refusal = refusal;
        _lease = new ClientChannel(server.Loop, connection, Contained(LeaseReady));
    }

    /// <summary>Why the client may not be served; its first message is answered with this, then it is gone (<see cref="TellRefusal"/>).</summary>
    public XfrmError Refusal { get; }

    /// <summary>When a client that may not be served is told so and dropped, though it has asked nothing (milliseconds of Environment.TickCount64).</summary>
    public long RefusalEnds { get; init; }

    /// <summary>The process that connected; 0 = its PID namespace is not one that we see.</summary>
    public int ProcessId { get; init; }

    /// <summary>True for a connection beyond the limit of clients, beside another one of its process.</summary>
    public bool IsBeside { get; init; }

    /// <summary>Subscribed groups, bit n - 1 for group n.</summary>
    public uint Groups { get; set; }

    /// <summary>Notifications that this client lost.</summary>
    public long Lost { get; private set; }

    /// <summary>True after ATTACH.</summary>
    public bool IsAttached => _attached is not null;

    /// <summary>True when the other end of one of the sockets is gone.</summary>
    public bool IsBroken => _lease.Broken || _attached is { Broken: true };

    /// <summary>Bytes that wait for this client.</summary>
    public int WaitingBytes => _lease.WaitingBytes + (_attached?.WaitingBytes ?? 0);

    /// <inheritdoc/>
    public bool DumpInProgress => _dump is not null;

    // Whoever does not read what is said on its lease cannot know that its requests are handled: nothing bounds these but its end.
    private bool IsUnread => _lease.Broken || (IsAttached && _lease.WaitingBytes > _server.Options.MaximumQueuedBytes);

    private ClientChannel Answers => _attached ?? _lease;

    /// <summary>Sends on the connection itself.</summary>
    public void SendOnLease(ReadOnlySpan<byte> datagram) => _lease.Send(datagram);

    /// <inheritdoc/>
    public void Reply(ReadOnlySpan<byte> datagram) => Answers.Send(datagram);

    /// <summary>
    /// Sends a notification, or loses it where too much waits already. The first that is lost leaves NLMSG_OVERRUN in its place; the next does so once nothing
    /// has waited in between.
    /// </summary>
    public bool Notify(ReadOnlySpan<byte> datagram)
    {
        _overrunSaid &= !Answers.IsIdle;
        if (Answers.WaitingBytes + datagram.Length > _server.Options.MaximumQueuedBytes)
        {
            Lost++;
            if (!_overrunSaid)
            {
                _overrunSaid = true;
                Answers.Send(Overrun);
            }

            return false;
        }

        Answers.Send(datagram);
        return true;
    }

    /// <inheritdoc/>
    public void StartDump(PagedAnswer dump)
    {
        _dump = dump;
        ContinueDump(1);
    }

    /// <summary>Takes end B of the client's socket pair.</summary>
    public void Attach(UnixConnection connection) => _attached = new ClientChannel(_server.Loop, connection, Contained(AttachedReady));

    /// <summary>
    /// Answers what the client has asked with <see cref="Refusal"/>; where it has asked nothing, tells it in an answer with sequence number 0. It can send
    /// nothing more from here on, so that nothing is left unread: a close would then turn into a reset, which overtakes the answer.
    /// </summary>
    public void TellRefusal()
    {
        _lease.StopReceiving();
        bool told = false;
        var buffer = _server.ReceiveBuffer;
        for (var received = _lease.Receive(buffer); received.Outcome == UnixReceiveOutcome.Message; received = _lease.Receive(buffer))
        {
            received.Descriptor?.Dispose();
            var datagram = buffer.AsSpan(0, Math.Min(received.Length, buffer.Length));
            told = !_server.Requests.RefuseDatagram(this, Refusal, datagram);
            CryptographicOperations.ZeroMemory(datagram);
        }

        if (!told)
        {
            _server.Requests.RefuseDatagram(this, Refusal);
        }
    }

    /// <summary>Closes the connection and B.</summary>
    public void Dispose()
    {
        _dump = null;
        _attached?.Dispose();
        _lease.Dispose();
    }

    private Action<PollEvent> Contained(Action<PollEvent> serve) => found =>
    {
        try
        {
            serve(found);
        }
#pragma warning disable CA1031 // A bug of ours that one client meets must not end the data plane.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            _server.Clients.CutOff(this, exception);
        }
    };

    private void LeaseReady(PollEvent found)
    {
        if (found.Writable)
        {
            _lease.Flush();
            if (!IsAttached)
            {
                ContinueDump(PartsAtATime);
            }
        }

        if (found.Readable && Refusal.Failed)
        {
            _server.Clients.TurnAway(this);
        }
        else if (found.Readable && !ReceiveOnLease())
        {
            _server.Clients.Drop(this);
        }
        else if ((!found.Readable && (found.HangUp || found.Error || found.Invalid)) || IsUnread)
        {
            _server.Clients.Drop(this);
        }
        else
        {
            KeepBounds();
        }
    }

    private void AttachedReady(PollEvent found)
    {
        if (found.Writable)
        {
            _attached!.Flush();
            ContinueDump(PartsAtATime);
        }

        if (found.Readable)
        {
            ReceiveOnAttached();
        }

        if (_attached!.Broken || IsUnread || found.HangUp || found.Error || found.Invalid)
        {
            _server.Clients.Drop(this);
        }
        else
        {
            KeepBounds();
        }
    }

    // One message a round, so that clients take turns. False: the client is gone or must go.
    private bool ReceiveOnLease()
    {
        var buffer = _server.ReceiveBuffer;
        var received = _lease.Receive(buffer);
        var descriptor = received.Descriptor;
        try
        {
            if (received.Outcome != UnixReceiveOutcome.Message)
            {
                return received.Outcome == UnixReceiveOutcome.Nothing;
            }

            if (received.Truncated || received.TooManyDescriptors)
            {
                _server.Counters.Malformed++;
                return _server.Requests.RefuseDatagram(this, received.Truncated
                    ? new XfrmError(LinuxError.MessageTooLong, "The message is longer than the data plane reads")
                    : XfrmError.Invalid("A message carries one descriptor at most, and the data plane must have one free"));
            }

            _server.Requests.HandleOnLease(this, buffer.AsSpan(0, received.Length), ref descriptor);
            return true;
        }
        finally
        {
            // ATTACH takes it over and sets it to null.
            descriptor?.Dispose();
        }
    }

    private void ReceiveOnAttached()
    {
        var buffer = _server.ReceiveBuffer;
        var received = _attached!.Receive(buffer);
        received.Descriptor?.Dispose();
        switch (received.Outcome)
        {
            case UnixReceiveOutcome.Message:
                var request = buffer.AsSpan(0, Math.Min(received.Length, buffer.Length));
                uint sequence = request.Length >= NetlinkHeader.Size ? MemoryMarshal.Read<NetlinkHeader>(request).Sequence : 0;
                _server.Requests.SendDone(this, sequence, _server.Requests.HandleOnAttached(this, request, received.Truncated));
                break;
            case UnixReceiveOutcome.Nothing:
                break;
            default:
                _server.Clients.Drop(this);
                break;
        }
    }

    // While more waits than may, requests are not read; the client's sends block until it has read.
    private void KeepBounds()
    {
        bool reading = Answers.WaitingBytes <= _server.Options.MaximumQueuedBytes;
        if (Answers.Reading != reading)
        {
            Answers.Reading = reading;
        }

        Answers.WantRoom(_dump is not null);
    }

    private void ContinueDump(int parts)
    {
        while (_dump is not null && Answers.IsIdle && !Answers.Broken && parts-- > 0)
        {
            _server.Requests.WritePart(_dump, this);
            if (_dump.Finished)
            {
                _dump = null;
            }
        }

        Answers.WantRoom(_dump is not null);
    }
}
