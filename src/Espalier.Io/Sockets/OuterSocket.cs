using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// What both kinds of outer sockets share: options, batches, the error queue and the drop counter. One thread may receive while another
/// sends; any thread may take errors.
/// </summary>
/// <remarks>
/// A packet to a link-local IPv6 destination leaves by the interface that carries the packet's local address, which is link-local too;
/// where it is not given, or none of ours, the kernel takes the first interface that its routes offer.
/// </remarks>
public abstract class OuterSocket : IOuterSocket
{
    private readonly DatagramReceiver _receiver;
    private readonly DatagramSender _sender;
    private readonly bool _isSecondRaw;
    private bool _disposed;

    private protected OuterSocket(SafeDescriptor descriptor, OuterSocketOptions options, bool isRaw)
    {
        _isSecondRaw = isRaw && options.SendOnly;
        Descriptor = descriptor;
        Version = options.Version;
        SocketOptions.SetMark(descriptor, options.Mark);
        ReceiveBufferGranted = SocketOptions.SetBuffer(
            descriptor, Socket.SO_RCVBUFFORCE, Socket.SO_RCVBUF, options.ReceiveBuffer, out bool forced);
        ReceiveBufferForced = forced;
        SocketOptions.SetBuffer(descriptor, Socket.SO_SNDBUFFORCE, Socket.SO_SNDBUF, options.SendBuffer, out _);
        SocketOptions.Set(descriptor, Socket.SOL_SOCKET, Socket.SO_RXQ_OVFL, 1, "SO_RXQ_OVFL");
        if (Version == IpVersion.IPv4)
        {
            SocketOptions.Set(descriptor, Ip.IPPROTO_IP, Ip.IP_RECVERR, 1, "IP_RECVERR");
        }
        else
        {
            SocketOptions.Set(descriptor, Ip.IPPROTO_IPV6, Ip.IPV6_RECVERR, 1, "IPV6_RECVERR");
            SocketOptions.Set(descriptor, Ip.IPPROTO_IPV6, Ip.IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO");
            SocketOptions.Set(descriptor, Ip.IPPROTO_IPV6, Ip.IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS");
        }

        _receiver = new DatagramReceiver(descriptor, stripIPv4Header: isRaw && Version == IpVersion.IPv4);
        _sender = new DatagramSender(descriptor, Version, isRaw, options);
    }

    /// <inheritdoc/>
    public IpVersion Version { get; }

    /// <inheritdoc/>
    public abstract ushort LocalPort { get; }

    /// <inheritdoc/>
    public int PollDescriptor => Descriptor.Number;

    /// <summary>Bytes of receive queue that the kernel granted, without its doubling for its own overhead.</summary>
    public int ReceiveBufferGranted { get; }

    /// <summary>False: SO_RCVBUFFORCE was refused, so that <see cref="ReceiveBufferGranted"/> is bounded by net.core.rmem_max; the start should say so.</summary>
    public bool ReceiveBufferForced { get; }

    /// <summary>Messages of several datagrams that the kernel cut.</summary>
    public long SegmentedMessages => _sender.SegmentedMessages;

    /// <summary>False once the kernel refused to cut messages, or where it was not asked to.</summary>
    public bool SegmentsMessages => _sender.Segments;

    /// <summary>The errno by which the kernel refused to cut messages (UDP_SEGMENT), when the socket was opened or since; 0 = it has not.</summary>
    public int SegmentationError => _sender.SegmentationError;

    /// <inheritdoc/>
    /// <remarks>Up to date also when no packet came since the last drop (SO_MEMINFO).</remarks>
    public long KernelDrops
    {
        get
        {
            long seen = _receiver.Drops;
            return _disposed || !TryReadDrops(out uint now) || (int)(now - (uint)seen) < 0 ? seen : seen + (now - (uint)seen);
        }
    }

    /// <summary>Takes several datagrams as one where the kernel joined them (UDP_GRO).</summary>
    public bool ReceiveOffload { get; private protected init; }

    /// <summary>The errno by which the kernel refused UDP_GRO; 0 = it did not.</summary>
    public int ReceiveOffloadError { get; private protected init; }

    private protected SafeDescriptor Descriptor { get; }

    /// <inheritdoc/>
    public int Receive(PacketBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return _receiver.Receive(batch);
    }

    /// <inheritdoc/>
    public int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return _sender.Send(batch, slots);
    }

    /// <inheritdoc/>
    public bool TryReceiveError(Span<byte> quoted, out OuterError error)
    {
        while (ErrorQueue.TryReceive(Descriptor, quoted, out error))
        {
            // The kernel gives an ICMP error about raw ESP to every raw socket.
            if (error.IsLocal || !_isSecondRaw)
            {
                return true;
            }
        }

        return false;
    }

    /// <inheritdoc/>
    public virtual void Share(bool open)
    {
    }

    /// <summary>Closes the socket.</summary>
    public void Dispose()
    {
        _disposed = true;
        Descriptor.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Binds to the address of the options, or to all addresses.</summary>
    private protected static unsafe int Bind(SafeDescriptor descriptor, OuterSocketOptions options, ushort port)
    {
        byte* name = stackalloc byte[SocketAddress.Capacity];
        var address = options.BindAddress.Version == IpVersion.None
            ? new InternetAddress(options.Version, UInt128.Zero)
            : options.BindAddress;
        return Libc.bind(descriptor, name, SocketAddress.Write(name, address, port, scope: 0)) == 0 ? 0 : Errno.Last;
    }

    /// <summary>Opens a socket of the options' family; IPv6 sockets take no IPv4.</summary>
    private protected static SafeDescriptor Open(OuterSocketOptions options, int type, int protocol, string what)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Version == IpVersion.None || (options.BindAddress.Version != IpVersion.None && options.BindAddress.Version != options.Version))
        {
            throw new ArgumentException("the address to bind and the version of the socket differ", nameof(options));
        }

        bool isIPv6 = options.Version == IpVersion.IPv6;
        var descriptor = SocketOptions.Open(isIPv6 ? Socket.AF_INET6 : Socket.AF_INET, type, protocol, what);

        // A raw IPv6 socket takes no IPv4 anyway, and refuses the option.
        if (isIPv6 && type == Socket.SOCK_DGRAM)
        {
            SocketOptions.Set(descriptor, Ip.IPPROTO_IPV6, Ip.IPV6_V6ONLY, 1, "IPV6_V6ONLY");
        }

        return descriptor;
    }

    private unsafe bool TryReadDrops(out uint drops)
    {
        uint* memory = stackalloc uint[Socket.SK_MEMINFO_VARS];
        uint length = Socket.SK_MEMINFO_VARS * sizeof(uint);
        bool known = Libc.getsockopt(Descriptor, Socket.SOL_SOCKET, Socket.SO_MEMINFO, memory, &length) == 0
            && length > Socket.SK_MEMINFO_DROPS * sizeof(uint);
        drops = known ? memory[Socket.SK_MEMINFO_DROPS] : 0;
        return known;
    }
}
