using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// UDP socket of one address family for ESP in UDP (RFC 3948). It is the port's only owner: a taken port is an error, and neither
/// SO_REUSEADDR nor SO_REUSEPORT is set, with which another process could take the port's packets.
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

        int errno = Bind(descriptor, options, options.Port);
        if (errno != 0)
        {
            throw Refusal(options, errno);
        }

        LocalPort = BoundPort(descriptor);
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
