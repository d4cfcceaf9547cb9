using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// UDP socket of one address family for ESP in UDP (RFC 3948), of three kinds:
/// <code>
///                              bound to         receives                             sends       SO_REUSEADDR
///   sole owner of its port     address, port    everything                           yes         never
///   Interface                  and an interface what arrives there, before others    no          while Share is open
///   SendOnly                   address, port    nothing                              yes         while Share is open
/// </code>
/// With SO_REUSEADDR or SO_REUSEPORT any process could bind the port too and take its packets. The two last share it with an IKE daemon's socket, which is
/// bound to no interface: the kernel finds ours first, for packets and for ICMP errors, where they arrive.
/// </summary>
public sealed class UdpEncapsulationSocket : OuterSocket
{
    private readonly bool _sharesPort;

    private UdpEncapsulationSocket(SafeDescriptor descriptor, OuterSocketOptions options)
        : base(descriptor, options, isRaw: false)
    {
        if (Version == IpVersion.IPv4)
        {
            SocketOptions.Set(descriptor, Ip.IPPROTO_IP, Ip.IP_PKTINFO, 1, "IP_PKTINFO");
            SocketOptions.Set(descriptor, Ip.IPPROTO_IP, Ip.IP_RECVTOS, 1, "IP_RECVTOS");

            // RFC 3948 §2.1: the IPv4 UDP checksum SHOULD be sent as zero. IPv6 keeps its checksum (RFC 8200 §8.1), and so must what the kernel cuts.
            SocketOptions.Set(descriptor, Socket.SOL_SOCKET, Socket.SO_NO_CHECK, SegmentsMessages ? 0 : 1, "SO_NO_CHECK");
        }
        else
        {
            // RFC 3948 §2.1: nothing depends on the checksum of a datagram that comes. Over IPv6 one must be there unless a tunnel says so for its port (RFC 6935 §5);
            // some peers leave it out there too (scapy does), and the ICV covers more than it would have.
            SocketOptions.Set(descriptor, Ip.IPPROTO_UDP, Udp.UDP_NO_CHECK6_RX, 1, "UDP_NO_CHECK6_RX");
        }

        _sharesPort = options.Interface is not null || options.SendOnly;
        Share(open: true);

        if (options.Interface is { } name)
        {
            PrepareReceiver(descriptor, name);
            if (options.InGroup)
            {
                SocketOptions.Set(descriptor, Socket.SOL_SOCKET, Socket.SO_REUSEPORT, 1, "SO_REUSEPORT");
            }
        }

        // Old kernels do not have it; the datagrams come one by one then.
        ReceiveOffloadError = options.ReceiveOffload ? SocketOptions.TrySet(descriptor, Ip.IPPROTO_UDP, Udp.UDP_GRO, 1) : 0;
        ReceiveOffload = options.ReceiveOffload && ReceiveOffloadError == 0;
        int errno = Bind(descriptor, options, options.Port);
        if (errno != 0)
        {
            throw Refusal(options, errno);
        }

        LocalPort = BoundPort(descriptor);
        if (options.SendOnly)
        {
            Park(descriptor, options.Version);
        }
    }

    /// <inheritdoc/>
    public override ushort LocalPort { get; }

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

    /// <inheritdoc/>
    public override void Share(bool open)
    {
        if (_sharesPort)
        {
            SocketOptions.Set(Descriptor, Socket.SOL_SOCKET, Socket.SO_REUSEADDR, open ? 1 : 0, "SO_REUSEADDR");
        }
    }

    /// <summary>
    /// Binds to the interface. What the sending socket may set for each packet, this one needs for the ICMP errors that it gets: that the kernel
    /// reports those about path MTUs, and, in IPv4, does not learn from them (they are not verified).
    /// </summary>
    private void PrepareReceiver(SafeDescriptor descriptor, string name)
    {
        int errno = SocketOptions.BindToInterface(descriptor, name);
        if (errno != 0)
        {
            throw errno switch
            {
                Errno.ENODEV => new DeviceException($"there is no interface {name}", errno),
                Errno.EPERM => new DeviceException($"no permission to bind to the interface {name}: run as root or give CAP_NET_RAW", errno),
                _ => DeviceException.From($"cannot bind to the interface {name}", errno),
            };
        }

        // The address may be tentative, or go and come again while the IKE daemon keeps its socket.
        if (Version == IpVersion.IPv4)
        {
            SocketOptions.Set(descriptor, Ip.IPPROTO_IP, Ip.IP_FREEBIND, 1, "IP_FREEBIND");
            SocketOptions.Set(descriptor, Ip.IPPROTO_IP, Ip.IP_MTU_DISCOVER, Ip.IP_PMTUDISC_OMIT, "IP_MTU_DISCOVER");
        }
        else
        {
            SocketOptions.Set(descriptor, Ip.IPPROTO_IPV6, Ip.IPV6_FREEBIND, 1, "IPV6_FREEBIND");
            SocketOptions.Set(descriptor, Ip.IPPROTO_IPV6, Ip.IPV6_MTU_DISCOVER, Ip.IPV6_PMTUDISC_PROBE, "IPV6_MTU_DISCOVER");
        }
    }

    /// <summary>
    /// Connects to a loopback address, so that the kernel does not find the socket for anybody else's packets, where it would stand beside the IKE daemon's.
    /// A destination and a source that are given with a packet come before those of the connection.
    /// </summary>
    private static unsafe void Park(SafeDescriptor descriptor, IpVersion version)
    {
        const ushort Discard = 9;
        SocketOptions.ReceiveNothing(descriptor);
        byte* name = stackalloc byte[SocketAddress.Capacity];
        var loopback = version == IpVersion.IPv4 ? new InternetAddress(version, 0x7F000001) : new InternetAddress(version, UInt128.One);
        if (Libc.connect(descriptor, name, SocketAddress.Write(name, loopback, Discard, scope: 0)) != 0)
        {
            int errno = Errno.Last;
            throw errno == Errno.ENETUNREACH
                ? new DeviceException($"there is no way to {loopback}, over which IKE messages come to their daemon: 'ip link set lo up'", errno)
                : DeviceException.From($"cannot set a sending socket aside ({loopback})", errno);
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
            $"UDP port {options.Port} ({options.Version}) is in use: stop what listens there (ss -lunp 'sport = :{options.Port}'), start it with 'espalier exec' if it is an IKE daemon, or choose another port", errno),
        Errno.EADDRNOTAVAIL => new DeviceException($"{options.BindAddress} is not an address of this host: bind to one that is", errno),
        Errno.EACCES => new DeviceException($"no permission for UDP port {options.Port}: run as root or give CAP_NET_BIND_SERVICE", errno),
        _ => DeviceException.From($"cannot bind UDP port {options.Port}", errno),
    };
}
