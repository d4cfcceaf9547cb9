using System.Buffers.Binary;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;
using Espalier.Wire.Packets;

namespace Espalier.Io.Sockets.SharedPort;

/// <summary>
/// Gives packets to sockets of this host as if they had arrived: whole IP packets, source and destination as they were, sent out of the loopback
/// interface by a packet socket, so that they come in there without a route and are looked up anew. Sockets bound to another interface do
/// not match; the IKE daemon's, bound to none, does. The mark is one that the routing rules know: with it strict rp_filter finds the way back to
/// any source through the loopback interface. Any thread.
/// </summary>
internal sealed unsafe class LoopbackRelay : IDisposable
{
    private const int LargestPacket = 65_535 + IPv6Packet.FixedHeaderLength;
    private const byte IcmpProtocolUnreachableOffset = 8;

    private readonly SafeDescriptor _descriptor;
    private readonly int _loopback;
    private readonly Lock _lock = new();
    private readonly byte[] _packet = GC.AllocateArray<byte>(LargestPacket, pinned: true);

    private LoopbackRelay(SafeDescriptor descriptor, int loopback) => (_descriptor, _loopback) = (descriptor, loopback);

    /// <summary>Opens the packet socket in the calling thread's network namespace.</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    internal static LoopbackRelay Open(uint mark)
    {
        // Protocol 0: it receives nothing.
        var descriptor = SocketOptions.Open(Socket.AF_PACKET, Socket.SOCK_DGRAM, 0, "a packet socket");
        try
        {
            SocketOptions.SetMark(descriptor, mark);
            return new LoopbackRelay(descriptor, (int)Libc.if_nametoindex("lo"));
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Gives a UDP datagram that came from a peer to the socket of its port. Returns 0 or an errno.</summary>
    internal int Send(InternetAddress peer, ushort peerPort, InternetAddress local, ushort localPort, byte trafficClass, ReadOnlySpan<byte> payload)
    {
        int ip = HeaderLength(local), length = UdpDatagram.HeaderLength + payload.Length;
        if (peer.Version != local.Version || ip + length > LargestPacket || (local.Version == IpVersion.IPv4 && ip + length > ushort.MaxValue))
        {
            return Errno.EMSGSIZE;
        }

        lock (_lock)
        {
            var datagram = _packet.AsSpan(ip, length);
            payload.CopyTo(datagram[UdpDatagram.HeaderLength..]);
            PacketWriter.WriteUdp(datagram, peer, local, peerPort, localPort);
            PacketWriter.WriteIp(_packet, peer, local, IpProtocol.Udp, length, trafficClass);
            return Send(local.Version, ip + length);
        }
    }

    /// <summary>
    /// Gives an ICMP or ICMPv6 error about a datagram that went from <paramref name="local"/> to <paramref name="peer"/> to the socket that sent it.
    /// </summary>
    /// <param name="offender">Who reports it.</param>
    /// <param name="type">Its type.</param>
    /// <param name="code">Its code.</param>
    /// <param name="mtu">The MTU that it tells, else 0.</param>
    /// <param name="local">Source of the datagram.</param>
    /// <param name="localPort">Its source port.</param>
    /// <param name="peer">Its destination.</param>
    /// <param name="peerPort">Its destination port.</param>
    /// <param name="payload">As much of its payload as is known.</param>
    internal int SendError(
        InternetAddress offender, byte type, byte code, int mtu, InternetAddress local, ushort localPort, InternetAddress peer, ushort peerPort,
        ReadOnlySpan<byte> payload)
    {
        if (offender.Version != local.Version || peer.Version != local.Version)
        {
            return Errno.EADDRNOTAVAIL;
        }

        int ip = HeaderLength(local), quotedUdp = UdpDatagram.HeaderLength + payload.Length;
        int length = IcmpProtocolUnreachableOffset + ip + quotedUdp;
        lock (_lock)
        {
            var message = _packet.AsSpan(ip, length);
            message[..IcmpProtocolUnreachableOffset].Clear();
            (message[0], message[1]) = (type, code);
            WriteMtu(message, local.Version, mtu);
            var quoted = message[IcmpProtocolUnreachableOffset..];
            PacketWriter.WriteIp(quoted, local, peer, IpProtocol.Udp, quotedUdp);
            payload.CopyTo(quoted[(ip + UdpDatagram.HeaderLength)..]);
            PacketWriter.WriteUdp(quoted.Slice(ip, quotedUdp), local, peer, localPort, peerPort);
            byte protocol = local.Version == IpVersion.IPv4 ? IpProtocol.Icmp : IpProtocol.IcmpV6;
            ulong sum = local.Version == IpVersion.IPv4 ? 0 : InternetChecksum.SumPseudoHeader(offender, local, protocol, length);
            BinaryPrimitives.WriteUInt16BigEndian(message[2..], InternetChecksum.Finish(InternetChecksum.Sum(message, sum)));
            PacketWriter.WriteIp(_packet, offender, local, protocol, length);
            return Send(local.Version, ip + length);
        }
    }

    /// <summary>Closes the socket.</summary>
    public void Dispose() => _descriptor.Dispose();

    private static int HeaderLength(InternetAddress address) =>
        address.Version == IpVersion.IPv4 ? IPv4Packet.MinimumHeaderLength : IPv6Packet.FixedHeaderLength;

    // RFC 1191 §4: the low half of the second word. RFC 4443 §3.2: all of it; in its other errors the word is unused.
    private static void WriteMtu(Span<byte> message, IpVersion version, int mtu)
    {
        if (version == IpVersion.IPv4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(message[6..], (ushort)Math.Min(mtu, ushort.MaxValue));
        }
        else
        {
            BinaryPrimitives.WriteInt32BigEndian(message[4..], mtu);
        }
    }

    private int Send(IpVersion version, int length)
    {
        // The address has to be there, and zero, as the interface's own is: else the kernel takes the packet for another host's.
        var to = new sockaddr_ll
        {
            sll_family = Socket.AF_PACKET,
            sll_protocol = SocketAddress.BigEndian(version == IpVersion.IPv4 ? Ethernet.ETH_P_IP : Ethernet.ETH_P_IPV6),
            sll_ifindex = _loopback,
            sll_halen = Ethernet.ETH_ALEN,
        };
        fixed (byte* packet = _packet)
        {
            return Libc.sendto(_descriptor, packet, (nuint)length, Socket.MSG_DONTWAIT, &to, (uint)sizeof(sockaddr_ll)) == length ? 0 : Errno.Last;
        }
    }
}
