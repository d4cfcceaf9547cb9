using Espalier.Io.UnixSockets;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Server;

/// <content>Who is served: connections are accepted, checked and bounded, and forgotten when they end.</content>
public sealed partial class ControlServer
{
    /// <summary>Tells a client that may not be served the reason, and forgets it.</summary>
    internal void TurnAway(ControlClient client)
    {
        client.TellRefusal();
        Drop(client);
    }

    /// <summary>Forgets a client whom serving met a bug of ours: it must not end the data plane.</summary>
    internal void CutOff(ControlClient client, Exception exception)
    {
        Log.ClientFailed(_logger, exception);
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
            Log.AcceptFailed(_logger, errno);
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
            Log.ClientFailed(_logger, exception);
            connection.Dispose();
        }
    }

    private void Admit(UnixConnection connection)
    {
        Counters.Accepted++;
        var refusal = _policy.Check(connection);
        Counters.Refused += refusal.Failed ? 1 : 0;
        if (refusal.Failed)
        {
        }
        else if (_clients.Count(client => !client.Refusal.Failed) >= Options.MaximumClients)
        {
            Counters.TooMany++;
            refusal = new XfrmError(LinuxError.Busy, $"This data plane serves {Options.MaximumClients} clients already, and no more: end some of them");
        }

        if (refusal.Failed)
        {
            _refusedClients.Say(refusal.Text!);
        }

        if (refusal.Failed && _clients.Count(client => client.Refusal.Failed) >= MaximumRefusedClients)
        {
            TurnAway(_clients.First(client => client.Refusal.Failed));
        }

        _clients.Add(new ControlClient(this, connection, refusal) { RefusalEnds = Environment.TickCount64 + RefusedMilliseconds });
        Counters.Clients = _clients.Count;
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
