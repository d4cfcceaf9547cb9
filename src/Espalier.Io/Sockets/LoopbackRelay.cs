using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.Io.Sockets;

/// <summary>
/// Gives datagrams and ICMP errors to the IKE daemon's socket by sending them once more, as whole IP packets from their peer, out of the loopback device:
/// there arrives what is sent, and no socket of ours is bound to it. The daemon sees the peer's address and port, and the address they came to.
/// <code>
///   datagram    | IP: peer → local address | UDP: peer's port → port | payload |
///   ICMP error  | IP: offender → local address | ICMP | IP: local address → peer | UDP: port → peer's port | payload, as far as it was quoted |
/// </code>
/// A packet socket, since packets of a raw socket are looked up by the device that has the address, where we would find them again. Where nobody has the
/// port, the kernel answers the peer as it always does. What came to a link-local IPv6 address is refused (EADDRNOTAVAIL): the kernel takes such an address
/// only on its own interface. Belongs to one thread.
/// </summary>
public sealed unsafe class LoopbackRelay : IPortRelay
{
    private const int LargestHeaders = IPv6Packet.FixedHeaderLength + UdpDatagram.HeaderLength;
    private const int LargestIPv4 = 65_535;
    private readonly SafeDescriptor _descriptor;
    private readonly int _loopback;
    private readonly byte[] _packet = GC.AllocateArray<byte>(IcmpErrorMessage.LargestIPv6Error, pinned: true);

    private LoopbackRelay(SafeDescriptor descriptor)
    {
        _descriptor = descriptor;
        _loopback = (int)Libc.if_nametoindex("lo");
    }

    /// <summary>Opens the socket in the calling thread's network namespace, with a firewall mark by which reverse path filtering lets its packets in.</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static LoopbackRelay Open(uint mark)
    {
        // Protocol 0: it receives nothing.
        var descriptor = SocketOptions.Open(Socket.AF_PACKET, Socket.SOCK_DGRAM, 0, "a packet socket");
        try
        {
            SocketOptions.SetMark(descriptor, mark);
            return new LoopbackRelay(descriptor);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public int Relay(in PacketSlot about, ReadOnlySpan<byte> payload, ushort localPort)
    {
        bool isIPv6 = about.Local.Version == IpVersion.IPv6;
        int udpLength = UdpDatagram.HeaderLength + payload.Length;
        if (LinkLocalScopes.IsLinkLocal(about.Local))
        {
            return Errno.EADDRNOTAVAIL;
        }

        if (about.Local.Version != about.Remote.Version || udpLength + (isIPv6 ? 0 : IPv4Packet.MinimumHeaderLength) > LargestIPv4)
        {
            return about.Local.Version != about.Remote.Version ? Errno.EINVAL : Errno.EMSGSIZE;
        }

        var headers = _packet.AsSpan(0, LargestHeaders);
        int length = PacketWriter.WriteIp(headers, about.Remote, about.Local, IpProtocol.Udp, udpLength, about.TrafficClass);
        length += PacketWriter.WriteUdp(headers[length..], payload, about.Remote, about.Local, about.RemotePort, localPort);
        return Send(headers[..length], payload, isIPv6);
    }

    /// <inheritdoc/>
    public int RelayError(in OuterError error, ReadOnlySpan<byte> quoted, ushort localPort)
    {
        bool isIPv6 = error.Remote.Version == IpVersion.IPv6;
        if (LinkLocalScopes.IsLinkLocal(error.Local))
        {
            return Errno.EADDRNOTAVAIL;
        }

        if (error.Local.Version != error.Remote.Version || error.Offender.Version != error.Remote.Version)
        {
            return Errno.EINVAL;
        }

        // RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c): no longer than it can have been.
        int ipLength = isIPv6 ? IPv6Packet.FixedHeaderLength : IPv4Packet.MinimumHeaderLength;
        int before = (2 * ipLength) + IcmpMessage.HeaderLength + UdpDatagram.HeaderLength;
        int room = (isIPv6 ? IcmpErrorMessage.LargestIPv6Error : IcmpErrorMessage.LargestIPv4Error) - before;
        quoted = quoted[..Math.Min(Math.Min(error.QuotedLength, quoted.Length), room)];

        var packet = _packet.AsSpan(0, before + quoted.Length);
        var message = packet[ipLength..];
        var inner = message[IcmpMessage.HeaderLength..];
        quoted.CopyTo(packet[before..]);
        PacketWriter.WriteIp(inner, error.Local, error.Remote, IpProtocol.Udp, UdpDatagram.HeaderLength + quoted.Length);
        PacketWriter.WriteUdp(inner[ipLength..], error.Local, error.Remote, localPort, error.RemotePort);
        IcmpErrorMessage.WriteAround(message, error.Offender, error.Local, error.IcmpType, error.IcmpCode, error.PathMtu);
        PacketWriter.WriteIp(packet, error.Offender, error.Local, isIPv6 ? IpProtocol.IcmpV6 : IpProtocol.Icmp, message.Length);
        return Send(packet, [], isIPv6);
    }

    /// <summary>Closes the socket.</summary>
    public void Dispose() => _descriptor.Dispose();

    private int Send(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, bool isIPv6)
    {
        // The length of the address must be there although its bytes are zero: else the link-level header keeps what was in memory, and the packet may count
        // as one for another host.
        sockaddr_ll name = new()
        {
            sll_family = Socket.AF_PACKET,
            sll_protocol = SocketAddress.BigEndian(isIPv6 ? Ethernet.ETH_P_IPV6 : Ethernet.ETH_P_IP),
            sll_ifindex = _loopback,
            sll_halen = Ethernet.ETH_ALEN,
        };
        iovec* vectors = stackalloc iovec[2];
        fixed (byte* start = first)
        fixed (byte* rest = second)
        {
            vectors[0] = new iovec { iov_base = start, iov_len = (nuint)first.Length };
            vectors[1] = new iovec { iov_base = rest, iov_len = (nuint)second.Length };
            msghdr header = new() { msg_name = &name, msg_namelen = (uint)sizeof(sockaddr_ll), msg_iov = vectors, msg_iovlen = 2 };
            return SingleMessage.Send(_descriptor, &header);
        }
    }
}
