using Espalier.Io.Interop;
using Espalier.Io.Processes;
using Espalier.Io.UnixSockets;
using Espalier.Xfrm.Messages;
using Microsoft.Extensions.Logging;

namespace Espalier.Xfrm.Server;

/// <summary>Who is served: connections are accepted, checked and bounded, and forgotten when they end. Control thread only.</summary>
internal sealed class ClientTable(ControlServer server, EncapsulationRegistry encapsulation, TimeProvider clock, ILogger logger)
{
    private const int MaximumRefusedClients = 32;
    private const int RefusedMilliseconds = 5000;
    private const int AcceptAtATime = 16;
    private const int RetryMilliseconds = 1000;

    private readonly List<ControlClient> _clients = [];
    private readonly PeerPolicy _policy = new(server.Options, UserDirectory.EffectiveUser);
    private readonly RefusalLog _refused = new(reason => ControlLog.ClientRefused(logger, reason), clock);
    private readonly RefusalLog _refusedAccepts = new(reason => ControlLog.AcceptFailed(logger, reason), clock);
    private ControlListener? _listener;
    private ControlLoop.Registration? _listening;
    private long _acceptAgain = long.MaxValue;

    /// <summary>Those connected now, the ones that may not be served included.</summary>
    internal List<ControlClient> All => _clients;

    /// <summary>Milliseconds after which <see cref="DropDead"/> may have something to do; int.MaxValue = not by itself.</summary>
    internal int Patience => _acceptAgain != long.MaxValue ? RetryMilliseconds
        : _clients.Exists(client => client.Refusal.Failed) ? RefusedMilliseconds : int.MaxValue;

    /// <summary>Accepts what comes to the listener, which is closed with this.</summary>
    internal void Listen(ControlListener listener)
    {
        _listener = listener;
        _listening = server.Loop.Register(listener.PollDescriptor, _ => Accept());
    }

    /// <summary>Closes every client and the listener, and removes its file.</summary>
    internal void Close()
    {
        _listening?.Dispose();
        _listening = null;
        _listener?.Dispose();
        _listener = null;
        _clients.ForEach(client => client.Dispose());
        _clients.Clear();
        server.Counters.Clients = 0;
    }

    /// <summary>Tells a client that may not be served the reason, and forgets it.</summary>
    internal void TurnAway(ControlClient client)
    {
        client.TellRefusal();
        Drop(client);
    }

    /// <summary>Forgets a client whom serving met a bug of ours: it must not end the data plane.</summary>
    internal void CutOff(ControlClient client, Exception exception)
    {
        ControlLog.ClientFailed(logger, exception);
        Drop(client);
    }

    /// <summary>Forgets a client.</summary>
    internal void Drop(ControlClient client)
    {
        if (_clients.Remove(client))
        {
            client.Dispose();
            encapsulation.Release(client);
            server.Counters.Clients = _clients.Count;
            ControlLog.ClientGone(logger, client.IsAttached, client.Lost);
        }
    }

    private void Accept()
    {
        int errno = 0;
        for (int left = AcceptAtATime; left > 0 && _listener!.TryAccept(out var connection, out errno); left--)
        {
            AdmitContained(connection);
        }

        if (errno != 0)
        {
            // No descriptor is free, say: the connection still waits, and poll would say so at once.
            _refusedAccepts.Say(Errno.Text(errno));
            _listening!.Want(read: false, write: false);
            _acceptAgain = Environment.TickCount64 + RetryMilliseconds;
        }
    }

    private void AdmitContained(UnixConnection connection)
    {
        try
        {
            Admit(connection);
        }
#pragma warning disable CA1031 // One connection that cannot be served must not end the data plane.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            ControlLog.ClientFailed(logger, exception);
            connection.Dispose();
        }
    }

    private void Admit(UnixConnection connection)
    {
        server.Counters.Accepted++;
        var refusal = _policy.Check(connection);
        server.Counters.Refused += refusal.Failed ? 1 : 0;
        int process = UnixPeer.Credentials(connection)?.ProcessId ?? 0;
        bool isFull = !refusal.Failed && _clients.Count(client => !client.Refusal.Failed && !client.IsBeside) >= server.Options.MaximumClients;
        bool isBeside = isFull && MayHaveOneBeside(process);
        if (isFull && !isBeside)
        {
            server.Counters.TooMany++;
            refusal = new XfrmError(LinuxError.Busy, $"This data plane serves {server.Options.MaximumClients} clients already, and no more: end some of them");
        }

        if (refusal.Failed)
        {
            _refused.Say(refusal.Text!);
        }

        if (refusal.Failed && _clients.Count(client => client.Refusal.Failed) >= MaximumRefusedClients)
        {
            TurnAway(_clients.First(client => client.Refusal.Failed));
        }

        _clients.Add(new ControlClient(server, connection, refusal)
        {
            RefusalEnds = Environment.TickCount64 + RefusedMilliseconds,
            ProcessId = process,
            IsBeside = isBeside,
        });
        server.Counters.Clients = _clients.Count;
    }

    // The watch of the preload library hears on one connection, and asks on another, which it opens when there is something to ask. A process in a PID namespace
    // that is not below ours has the number 0, as others there.
    private bool MayHaveOneBeside(int process)
    {
        int hearing = _clients.Count(client => client.ProcessId == process && client is { IsAttached: false, Groups: not 0 });
        return process != 0 && _clients.Count(client => client.ProcessId == process && client.IsBeside) < hearing;
    }

    /// <summary>Forgets clients that are gone or have had their time, and accepts again where that failed.</summary>
    internal void DropDead()
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
