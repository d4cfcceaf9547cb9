using Espalier.Io.Batches;
using Espalier.Io.Host;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets.SharedPort;

/// <summary>
/// A UDP port for ESP (RFC 3948) that an IKE daemon may have, too, with a socket of its own.
/// <code>
///   interface a ─▶ socket bound to a ─┐            ┌─ ESP, keepalives ─▶ batch
///   interface b ─▶ socket bound to b ─┴─ splitter ─┴─ IKE ─▶ loopback interface ─▶ the daemon's own socket
///                                                                                        │
///   batch ─▶ parked socket ─▶ any interface  ◀─────────────────────────────────────────── IKE
/// </code>
/// A socket that is bound to an interface goes before others in each of the kernel's look-ups: delivery, joining (GRO), ICMP errors. So all that comes
/// from outside comes here, whichever socket was first; and without us all of it goes to the daemon. Nothing that came in
/// by the loopback interface matches our sockets. The parked socket sends from the port, and is connected so that nothing is delivered to it.
/// A daemon that binds single addresses has sockets that go before those bound to all: for these there is one more for each interface (<see cref="Serve"/>).
/// </summary>
/// <remarks>One thread receives, one sends; the control thread changes interfaces and addresses. ESP that comes by the loopback interface goes to the daemon.</remarks>
public sealed class SharedUdpPort : IOuterSocket, ISharedPort
{
    private const int LargestQuote = 576;
    private const int ReadsAtOnce = 16;

    // More interfaces and addresses than that are a mistake, or somebody who wants our descriptors.
    private const int MostReceivers = 1024;

    private readonly OuterSocketOptions _options;
    private readonly LoopbackRelay _relay;
    private readonly InstanceLock _port;
    private readonly UdpEncapsulationSocket _sender;
    private readonly DatagramSplitter _splitter;
    private readonly Lock _lock = new();
    private readonly List<PortReceiver> _retired = [];
    private readonly Dictionary<InternetAddress, int> _served = [];
    private PortReceiver[] _receivers = [];
    private IReadOnlyList<PortDevice> _devices = [];
    private pollfd[] _polled = [];
    private long _dropsOfClosed;
    private long _datagrams;
    private long _errors;
    private long _failures;

    private SharedUdpPort(OuterSocketOptions options, LoopbackRelay relay, InstanceLock port, UdpEncapsulationSocket sender)
    {
        (_options, _relay, _port, _sender) = (options, relay, port, sender);
        _splitter = new DatagramSplitter { ForDaemon = Relay };
        IsParked = sender.Park();
    }

    /// <inheritdoc/>
    public IpVersion Version => _options.Version;

    /// <inheritdoc/>
    public ushort LocalPort => _options.Port;

    /// <inheritdoc/>
    public int PollDescriptor => _sender.PollDescriptor;

    /// <inheritdoc/>
    public IReadOnlyList<int> PollDescriptors => [_sender.PollDescriptor, .. _receivers.Select(static one => one.Socket.PollDescriptor)];

    /// <summary>False where the loopback interface was down: an IKE daemon on the port would then compete with us for what it is sent.</summary>
    public bool IsParked { get; }

    /// <summary>True once it is disposed of.</summary>
    internal bool IsClosed { get; private set; }

    /// <summary>False where SO_RCVBUFFORCE was refused to one of the sockets.</summary>
    public bool ReceiveBufferForced { get; private set; } = true;

    /// <summary>Datagrams that the kernel had joined to others (UDP_GRO).</summary>
    public long JoinedDatagrams => _splitter.Joined;

    /// <inheritdoc/>
    public RelayCounters Relayed => new(Volatile.Read(ref _datagrams), Volatile.Read(ref _errors), Volatile.Read(ref _failures));

    /// <inheritdoc/>
    public long KernelDrops
    {
        get
        {
            lock (_lock)
            {
                return _dropsOfClosed + _receivers.Concat(_retired).Sum(static one => one.Socket.KernelDrops);
            }
        }
    }

    /// <summary>Opens the port in the calling thread's network namespace, for these interfaces.</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    internal static SharedUdpPort Open(OuterSocketOptions options, LoopbackRelay relay, IReadOnlyList<PortDevice> devices)
    {
        string name = $"espalier/udp/{options.Version}/{options.Port}";
        if (!InstanceLock.TryTake(name, out var port, out int errno))
        {
            throw errno == Errno.EADDRINUSE
                ? new DeviceException($"UDP port {options.Port} ({options.Version}) belongs to another 'espalier run' of this network namespace: stop it, or choose another port (--encap-port)", errno)
                : DeviceException.From($"cannot mark UDP port {options.Port} as ours", errno);
        }

        UdpEncapsulationSocket? sender = null;
        try
        {
            sender = UdpEncapsulationSocket.Open(options with { Shared = true });
            var shared = new SharedUdpPort(options, relay, port, sender);
            shared.Follow(devices);
            return shared;
        }
        catch
        {
            sender?.Dispose();
            port.Dispose();
            throw;
        }
    }

    /// <summary>Opens sockets for interfaces that came, and takes out those of interfaces that went. Control thread. True: <see cref="PollDescriptors"/> changed.</summary>
    internal bool Follow(IReadOnlyList<PortDevice> devices)
    {
        _devices = devices;
        return Update(out _);
    }

    /// <inheritdoc/>
    public string? Serve(InternetAddress local)
    {
        if (local.Version != Version)
        {
            return $"{local} is no address of {Version}";
        }

        int users = _served.GetValueOrDefault(local);
        _served[local] = users + 1;
        if (users > 0 || IsEverywhere(local))
        {
            return null;
        }

        Update(out string? refused);
        return refused;
    }

    /// <inheritdoc/>
    public void StopServing(InternetAddress local)
    {
        int users = _served.GetValueOrDefault(local) - 1;
        if (users > 0)
        {
            _served[local] = users;
        }
        else if (_served.Remove(local))
        {
            Update(out _);
        }
    }

    /// <inheritdoc/>
    public int Receive(PacketBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        batch.Clear();
        bool drained = _splitter.Drain(batch);
        var receivers = Volatile.Read(ref _receivers);
        for (int reads = 0; drained && reads < ReadsAtOnce;)
        {
            int before = reads;
            for (int i = FindReady(receivers, 0); i >= 0 && drained; i = FindReady(receivers, i + 1))
            {
                reads++;
                _splitter.Read(receivers[i].Socket.Descriptor);
                drained = _splitter.Drain(batch);
            }

            if (reads == before || receivers.Length == 0)
            {
                break;
            }
        }

        return batch.Count;
    }

    /// <inheritdoc/>
    public int Send(PacketBatch batch, ReadOnlySpan<int> slots) => _sender.Send(batch, slots);

    /// <inheritdoc/>
    /// <remarks>An error about an IKE message is given to the daemon's socket, and not told here.</remarks>
    public bool TryReceiveError(Span<byte> quoted, out OuterError error)
    {
        if (_sender.TryReceiveError(quoted, out error))
        {
            return true;
        }

        Span<byte> whole = stackalloc byte[LargestQuote];
        foreach (var receiver in Volatile.Read(ref _receivers))
        {
            while (receiver.Socket.TryReceiveError(whole, out error))
            {
                var payload = whole[..Math.Min(error.QuotedLength, LargestQuote)];
                if (PortTraffic.MayBeIke(payload))
                {
                    RelayError(in error, payload);
                }

                if (payload.Length < sizeof(uint) || !PortTraffic.MayBeIke(payload))
                {
                    payload[..Math.Min(payload.Length, quoted.Length)].CopyTo(quoted);
                    return true;
                }
            }
        }

        error = default;
        return false;
    }

    /// <inheritdoc/>
    public void CloseRetired()
    {
        lock (_lock)
        {
            foreach (var receiver in _retired)
            {
                _dropsOfClosed += receiver.Socket.KernelDrops;
                receiver.Socket.Dispose();
            }

            _retired.Clear();
        }
    }

    /// <summary>Closes all sockets.</summary>
    public void Dispose()
    {
        CloseRetired();
        foreach (var receiver in _receivers)
        {
            receiver.Socket.Dispose();
        }

        _sender.Dispose();
        _port.Dispose();
        IsClosed = true;
    }

    // 127.0.0.0/8 and ::1 do not come in by an interface that we look at; a socket bound to all addresses needs no other of ours.
    private static bool IsEverywhere(InternetAddress local) =>
        local.IsUnspecified || (local.Version == IpVersion.IPv4 ? (uint)local.Bits >> 24 == 127 : local.Bits == UInt128.One);

    private static bool IsLinkLocal(InternetAddress local) => local.Version == IpVersion.IPv6 && (uint)(local.Bits >> 118) == 0x3FA;

    private bool Update(out string? refused)
    {
        refused = null;
        var any = new InternetAddress(Version, UInt128.Zero);
        var wanted = new List<(PortDevice Device, InternetAddress Local)>();
        foreach (var local in _served.Keys.Where(static one => !IsEverywhere(one)).Prepend(any))
        {
            wanted.AddRange(_devices.Select(device => (device, local)));
        }

        if (wanted.Count > MostReceivers)
        {
            refused = $"{wanted.Count} interfaces and addresses of UDP port {LocalPort} are too many: {MostReceivers} at most";
            wanted.RemoveRange(MostReceivers, wanted.Count - MostReceivers);
        }

        var kept = _receivers.Where(one => wanted.Contains((one.Device, one.Local))).ToList();
        var gone = _receivers.Except(kept).ToList();
        bool changed = gone.Count > 0;
        foreach (var (device, local) in wanted.Except(kept.Select(static one => (one.Device, one.Local))))
        {
            if (TryOpen(device, local, ref refused) is { } opened)
            {
                kept.Add(opened);
                changed = true;
            }
        }

        lock (_lock)
        {
            _retired.AddRange(gone);
            Volatile.Write(ref _receivers, [.. kept]);
        }

        return changed;
    }

    // An interface that has gone meanwhile is no error, nor is a link-local address of another interface.
    private PortReceiver? TryOpen(PortDevice device, InternetAddress local, ref string? refused)
    {
        try
        {
            var socket = UdpEncapsulationSocket.Open(_options with
            {
                Shared = true, Device = device.Name, BindAddress = local, Scope = IsLinkLocal(local) ? device.Index : 0,
            });
            ReceiveBufferForced &= socket.ReceiveBufferForced;
            return new PortReceiver(device, local, socket);
        }
        catch (DeviceException failure)
        {
            bool isGone = failure.Error is Errno.ENODEV || (failure.Error is Errno.EADDRNOTAVAIL && IsLinkLocal(local));
            refused = isGone ? refused : failure.Message;
            return null;
        }
    }

    /// <summary>The first receiver from <paramref name="start"/> on that has something to read; -1 = none.</summary>
    private unsafe int FindReady(PortReceiver[] receivers, int start)
    {
        if (start == 0)
        {
            if (_polled.Length < receivers.Length)
            {
                _polled = GC.AllocateArray<pollfd>(receivers.Length, pinned: true);
            }

            for (int i = 0; i < receivers.Length; i++)
            {
                _polled[i] = new pollfd { fd = receivers[i].Socket.PollDescriptor, events = Files.POLLIN };
            }

            fixed (pollfd* polled = _polled)
            {
                if (receivers.Length == 0 || Libc.poll(polled, (ulong)receivers.Length, 0) <= 0)
                {
                    return -1;
                }
            }
        }

        for (int i = start; i < receivers.Length; i++)
        {
            if ((_polled[i].revents & Files.POLLIN) != 0)
            {
                return i;
            }
        }

        return -1;
    }

    private void Relay(in PacketSlot about, ReadOnlySpan<byte> payload) =>
        Count(_relay.Send(about.Remote, about.RemotePort, about.Local, LocalPort, about.TrafficClass, payload), ref _datagrams);

    private void RelayError(in OuterError error, ReadOnlySpan<byte> payload) =>
        Count(
            _relay.SendError(
                error.Offender, error.IcmpType, error.IcmpCode, error.PathMtu, error.Local, LocalPort, error.Remote, error.RemotePort, payload),
            ref _errors);

    private void Count(int errno, ref long counter) => Interlocked.Increment(ref errno == 0 ? ref counter : ref _failures);
}
