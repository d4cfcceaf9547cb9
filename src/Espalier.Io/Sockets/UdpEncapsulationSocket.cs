using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// UDP socket of one address family for ESP in UDP (RFC 3948). It is the port's only owner: a taken port is an error, and neither
/// SO_REUSEADDR nor SO_REUSEPORT is set, with which another process could take the port's packets. A port that is shared with an IKE daemon
/// has several of them, each with a part of the work: see <see cref="SharedPort.SharedUdpPort"/>.
/// </summary>
public sealed class UdpEncapsulationSocket : OuterSocket
{
    private UdpEncapsulationSocket(SafeDescriptor descriptor, OuterSocketOptions options)
        : base(descriptor, options, isRaw: false)
    {
        if (Version == IpVersion.IPv4)
        {
            SocketOptions.Set(descriptor, Ip.IPPROTO_IP, Ip.IP_PKTINFO, 1, "IP_PKTINFO");
            SocketOptions.Set(descriptor, Ip.IPPROTO_IP, Ip.IP_RECVTOS, 1, "IP_RECVTOS");

            // RFC 3948 §2.1: the IPv4 UDP checksum SHOULD be sent as zero. IPv6 keeps its checksum (RFC 8200 §8.1), and so must what the kernel cuts.
            SocketOptions.Set(descriptor, Socket.SOL_SOCKET, Socket.SO_NO_CHECK, options.Segmentation ? 0 : 1, "SO_NO_CHECK");
        }

        if (options.Shared)
        {
            SocketOptions.Set(descriptor, Socket.SOL_SOCKET, Socket.SO_REUSEADDR, 1, "SO_REUSEADDR");
        }

        if (options.Device is { } device)
        {
            BindToDevice(descriptor, device);
            Coalesces = options.Coalescing && SocketOptions.TrySet(descriptor, Ip.IPPROTO_UDP, Udp.UDP_GRO, 1) == 0;
        }

        int errno = Bind(descriptor, options, options.Port);
        if (errno != 0)
        {
            throw Refusal(options, errno);
        }

        LocalPort = BoundPort(descriptor);
    }

    /// <inheritdoc/>
    public override ushort LocalPort { get; }

    /// <summary>True where the kernel joins datagrams on arrival.</summary>
    internal bool Coalesces { get; }

    /// <summary>The socket itself.</summary>
    internal new SafeDescriptor Descriptor => base.Descriptor;

    /// <summary>Opens and binds the socket in the calling thread's network namespace.</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static UdpEncapsulationSocket Open(OuterSocketOptions options)
    {
        var descriptor = Open(options, Interop.Socket.SOCK_DGRAM, Ip.IPPROTO_UDP, "a UDP socket");
        try
        {
            return new UdpEncapsulationSocket(descriptor, options);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Connects the socket to a port of this host that sends nothing: it can still send to anyone whose address goes with the packet, and receives from
    /// nobody else. False where the loopback interface is down.
    /// </summary>
    internal unsafe bool Park()
    {
        const ushort Discard = 9; // RFC 863
        byte* name = stackalloc byte[SocketAddress.Capacity];
        var loopback = Version == IpVersion.IPv4 ? new InternetAddress(IpVersion.IPv4, 0x7F000001) : new InternetAddress(IpVersion.IPv6, UInt128.One);
        return Libc.connect(Descriptor, name, SocketAddress.Write(name, loopback, Discard, scope: 0)) == 0;
    }

    private static unsafe void BindToDevice(SafeDescriptor descriptor, string device)
    {
        Span<byte> name = stackalloc byte[ifreq.IFNAMSIZ];
        int length = System.Text.Encoding.UTF8.GetBytes(device, name);
        fixed (byte* start = name)
        {
            if (Libc.setsockopt(descriptor, Socket.SOL_SOCKET, Socket.SO_BINDTODEVICE, start, (uint)length) != 0)
            {
                throw DeviceException.FromLast($"cannot bind a UDP socket to the interface {device}");
            }
        }
    }

    private static unsafe ushort BoundPort(SafeDescriptor descriptor)
    {
        byte* name = stackalloc byte[SocketAddress.Capacity];
        uint length = SocketAddress.Capacity;
        if (Libc.getsockname(descriptor, name, &length) != 0)
        {
            throw DeviceException.FromLast("cannot read the port of a UDP socket");
        }

        SocketAddress.Read(name, length, out ushort port);
        return port;
    }

    private static DeviceException Refusal(OuterSocketOptions options, int errno) => errno switch
    {
        Errno.EADDRINUSE => new DeviceException(
            $"UDP port {options.Port} ({options.Version}) is in use: stop what listens there (ss -lunp 'sport = :{options.Port}'), or choose another port", errno),
        Errno.EADDRNOTAVAIL => new DeviceException($"{options.BindAddress} is not an address of this host: bind to one that is", errno),
        Errno.EACCES => new DeviceException($"no permission for UDP port {options.Port}: run as root or give CAP_NET_BIND_SERVICE", errno),
        _ => DeviceException.From($"cannot bind UDP port {options.Port}", errno),
    };
}
