using Espalier.Io.Batches;
using Espalier.Io.Netlink;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>
/// The outer sockets: for each IP version and local UDP port (0 = raw ESP) the one that sends, for each outbound worker, and, where ports are shared with an
/// IKE daemon, what receives for its addresses, for each inbound worker. What is there once belongs to the first worker. The control thread changes the
/// table; workers read an <see cref="OuterSocketSnapshot"/> that is swapped whole. A socket that is taken out is not disposed at once, because the worker
/// that polls it may be asleep on its descriptor: that worker disposes it after it has looked at the new snapshot (<see cref="DisposeRetired"/>). One that
/// sends is taken out with workers frozen or not yet started.
/// No program can bind a port beside our sockets but an IKE daemon that was announced by <see cref="Admit"/>.
/// </summary>
internal sealed class OuterSocketTable(IOuterSocketFactory factory, int workers = 1) : IDisposable
{
    /// <summary>Interfaces on which ports are received at most.</summary>
    public const int MaximumInterfaces = 256;

    private readonly Lock _lock = new();
    private readonly List<(IOuterSocket Socket, int Worker)> _retired = [];
    private readonly Dictionary<(InternetAddress Local, ushort Port), PortReceivers> _receivers = [];
    private readonly PortAdmissions _admissions = new();
    private IReadOnlyList<LinkInfo> _links = [];
    private int _linksLeftOut;
    private OuterSocketSnapshot _snapshot = new([], [.. Enumerable.Repeat<IOuterSocket[]>([], workers)], 0);
    private long _kernelDropsOfClosed;

    /// <summary>Called after the table changed, so that the workers look at it. Set before the workers start.</summary>
    public Action? Changed { get; set; }

    /// <summary>The sockets now, and a number that changes with them.</summary>
    public OuterSocketSnapshot Current => Volatile.Read(ref _snapshot);

    /// <summary>Packets that the kernel dropped because a socket's queue was full, sockets since closed included.</summary>
    public long KernelDrops
    {
        get
        {
            lock (_lock)
            {
                return _kernelDropsOfClosed + _retired.Sum(retired => retired.Socket.KernelDrops) + _snapshot.Sockets.Sum(socket => socket.KernelDrops);
            }
        }
    }

    /// <summary>Where packets are not received, and why. For people.</summary>
    public IReadOnlyList<string> Problems
    {
        get
        {
            lock (_lock)
            {
                var problems = _receivers.Values.SelectMany(receivers => receivers.Problems);
                return _linksLeftOut == 0
                    ? [.. problems]
                    : [.. problems, $"there are {_linksLeftOut} interfaces beyond the {MaximumInterfaces} on which Espalier receives ESP in UDP"];
            }
        }
    }

    /// <summary>The socket by which a worker sends for this version and port, or null. Allocates nothing.</summary>
    public IOuterSocket? Find(IpVersion version, ushort port, int worker = 0) => Current.Find(version, port, worker);

    /// <summary>Opens a port on all addresses, or with port 0 raw ESP, unless it is open. Control thread.</summary>
    /// <returns>Null, or why it cannot be opened.</returns>
    public string? Open(IpVersion version, ushort port)
    {
        lock (_lock)
        {
            if (_snapshot.Find(version, port) is not null)
            {
                return null;
            }

            string? error = OpenSenders(version, port, out var senders);
            error ??= factory.SharesPorts && port != 0 ? OpenReceivers(AnyAddress(version), port) : null;
            if (error is not null)
            {
                senders.ForEach(socket => socket.Dispose());
                return error;
            }

            Swap([.. _snapshot.Senders, [.. senders]]);
        }

        Changed?.Invoke();
        return null;
    }

    /// <summary>Receives for one address and port besides: an IKE daemon's socket that is bound to it comes before those on all addresses. Control thread.</summary>
    /// <returns>Null, or why it cannot be had.</returns>
    public string? OpenAddress(InternetAddress local, ushort port)
    {
        lock (_lock)
        {
            if (!factory.SharesPorts || _receivers.ContainsKey((local, port)))
            {
                return null;
            }

            ShareAll(open: true);
            string? error = OpenReceivers(local, port);
            Swap(_snapshot.Senders);
            if (error is not null)
            {
                return error;
            }
        }

        Changed?.Invoke();
        return null;
    }

    /// <summary>Lets an IKE daemon bind a port beside our sockets, until <see cref="EndAdmission"/> or the second <see cref="AgeAdmissions"/>. Control thread.</summary>
    public void Admit(IpVersion version, ushort port)
    {
        lock (_lock)
        {
            _admissions.Begin(version, port);
            ShareAll(open: false);
        }
    }

    /// <summary>The daemon has bound its socket. Control thread.</summary>
    public void EndAdmission(IpVersion version, ushort port)
    {
        lock (_lock)
        {
            _admissions.End(version, port);
            ShareAll(open: false);
        }
    }

    /// <summary>Ends admissions that stood at the last call already. Control thread.</summary>
    public void AgeAdmissions()
    {
        lock (_lock)
        {
            _admissions.Age();
            ShareAll(open: false);
        }
    }

    /// <summary>Takes a port, or raw ESP, out of the table. Control thread, workers frozen.</summary>
    public void Retire(IpVersion version, ushort port)
    {
        lock (_lock)
        {
            if (_snapshot.FindAll(version, port) is not { } senders)
            {
                return;
            }

            foreach (var socket in senders)
            {
                socket.Share(open: true);
                _retired.Add((socket, 0));
            }

            RetireReceivers(AnyAddress(version), port);
            Swap([.. _snapshot.Senders.Where(other => !ReferenceEquals(other, senders))]);
        }

        Changed?.Invoke();
    }

    /// <summary>Gives up what <see cref="OpenAddress"/> opened. Control thread.</summary>
    public void RetireAddress(InternetAddress local, ushort port)
    {
        lock (_lock)
        {
            RetireReceivers(local, port);
            Swap(_snapshot.Senders);
        }

        Changed?.Invoke();
    }

    /// <summary>Receives on these interfaces, and no others, from now on. Control thread.</summary>
    public void Follow(IReadOnlyList<LinkInfo> links)
    {
        lock (_lock)
        {
            var before = _links.Select(link => link.Index);
            _links = links.Count <= MaximumInterfaces ? links : [.. links.OrderBy(link => link.Index).Take(MaximumInterfaces)];
            _linksLeftOut = links.Count - _links.Count;
            if (_links.Select(link => link.Index).SequenceEqual(before) && _receivers.Values.All(receivers => receivers.Problems.Count == 0))
            {
                return;
            }

            ShareAll(open: true);
            foreach (var receivers in _receivers.Values)
            {
                receivers.Follow(_links, _retired);
            }

            Swap(_snapshot.Senders);
        }

        Changed?.Invoke();
    }

    /// <summary>Disposes the sockets that were taken out and were this inbound worker's to poll.</summary>
    public void DisposeRetired(int worker)
    {
        lock (_lock)
        {
            for (int i = _retired.Count - 1; i >= 0; i--)
            {
                if (_retired[i].Worker == worker)
                {
                    Close(_retired[i].Socket);
                    _retired.RemoveAt(i);
                }
            }
        }
    }

    /// <summary>Closes everything. The workers have stopped.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            foreach (var socket in _snapshot.Sockets.Concat(_retired.Select(retired => retired.Socket)))
            {
                Close(socket);
            }

            _retired.Clear();
            _receivers.Clear();
            Swap([]);
        }
    }

    private static InternetAddress AnyAddress(IpVersion version) => new(version, UInt128.Zero);

    private string? OpenSenders(IpVersion version, ushort port, out List<IOuterSocket> senders)
    {
        senders = [];
        if (!factory.TryOpen(version, port, out var first, out string? error))
        {
            return error;
        }

        senders.Add(first);
        while (senders.Count < workers)
        {
            if (factory.OpenSender(version, port, out var socket) is { } refused)
            {
                return refused;
            }

            senders.Add(socket!);
        }

        return null;
    }

    private string? OpenReceivers(InternetAddress local, ushort port)
    {
        var receivers = new PortReceivers(factory, local, port, workers);
        receivers.Follow(_links, _retired);
        if (receivers.Problems.FirstOrDefault() is { } problem)
        {
            foreach (var (socket, _) in receivers.Sockets)
            {
                socket.Dispose();
            }

            return problem;
        }

        _receivers.Add((local, port), receivers);
        return null;
    }

    private void RetireReceivers(InternetAddress local, ushort port)
    {
        if (_receivers.Remove((local, port), out var receivers))
        {
            foreach (var (socket, worker) in receivers.Sockets)
            {
                socket.Share(open: true);
                _retired.Add((socket, worker));
            }
        }
    }

    private void ShareAll(bool open)
    {
        foreach (var socket in _snapshot.Sockets)
        {
            socket.Share(open || _admissions.Stands(socket.Version, socket.LocalPort));
        }
    }

    private void Close(IOuterSocket socket)
    {
        _kernelDropsOfClosed += socket.KernelDrops;
        socket.Dispose();
    }

    private void Swap(IOuterSocket[][] senders)
    {
        var receivers = _receivers.Values.SelectMany(group => group.Sockets).ToArray();
        var polled = new IOuterSocket[workers][];
        for (int worker = 0; worker < workers; worker++)
        {
            polled[worker] = [.. worker == 0 ? senders.SelectMany(group => group) : [], .. receivers.Where(found => found.Worker == worker).Select(found => found.Socket)];
        }

        Volatile.Write(ref _snapshot, new OuterSocketSnapshot(senders, polled, _snapshot.Generation + 1));
        ShareAll(open: false);
    }
}
