using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// Reads a socket's error queue (ip(7), IP_RECVERR and IPV6_RECVERR): ICMP errors about packets we sent, each with as much of the packet as
/// the ICMP message quoted, from the first byte behind the UDP header (UDP socket) or IP header (raw socket), that is, of ESP.
/// </summary>
internal static unsafe class ErrorQueue
{
    private const int ControlCapacity = 512;

    /// <summary>False: the queue is empty.</summary>
    internal static bool TryReceive(SafeDescriptor descriptor, Span<byte> quoted, out OuterError error)
    {
        byte* name = stackalloc byte[SocketAddress.Capacity];
        byte* control = stackalloc byte[ControlCapacity];
        fixed (byte* data = quoted)
        {
            iovec vector = new() { iov_base = data, iov_len = (nuint)quoted.Length };
            while (true)
            {
                msghdr header = new()
                {
                    msg_name = name,
                    msg_namelen = SocketAddress.Capacity,
                    msg_iov = &vector,
                    msg_iovlen = 1,
                    msg_control = control,
                    msg_controllen = ControlCapacity,
                };
                nint length = Libc.recvmsg(descriptor, &header, Socket.MSG_ERRQUEUE | Socket.MSG_DONTWAIT);
                if (length < 0)
                {
                    if (Errno.Last == Errno.EINTR)
                    {
                        continue;
                    }

                    error = default;
                    return false;
                }

                if (TryDescribe(&header, (int)length, out error))
                {
                    return true;
                }

                // Else not about an error (a timestamp, say); we ask for none of that.
            }
        }
    }

    /// <summary>Reads what came with a message: false where that is not about an error.</summary>
    internal static bool TryDescribe(msghdr* header, int length, out OuterError error)
    {
        sock_extended_err* extended = null;
        InternetAddress offender = default;
        InternetAddress local = default;
        for (var message = ControlMessages.First(header); message != null; message = ControlMessages.Next(header, message))
        {
            byte* data = ControlMessages.Data(message);
            int room = ControlMessages.DataLength(message);
            switch ((message->cmsg_level, message->cmsg_type))
            {
                case (Ip.IPPROTO_IP, Ip.IP_RECVERR) or (Ip.IPPROTO_IPV6, Ip.IPV6_RECVERR) when room >= sizeof(sock_extended_err):
                    // SO_EE_OFFENDER: who sent the ICMP error follows.
                    extended = (sock_extended_err*)data;
                    offender = SocketAddress.Read((byte*)(extended + 1), (uint)(room - sizeof(sock_extended_err)), out _);
                    break;
                case (Ip.IPPROTO_IP, Ip.IP_PKTINFO) when room >= sizeof(in_pktinfo):
                    local = new InternetAddress(IpVersion.IPv4, SocketAddress.BigEndian(((in_pktinfo*)data)->ipi_addr));
                    break;
                case (Ip.IPPROTO_IPV6, Ip.IPV6_PKTINFO) when room >= sizeof(in6_pktinfo):
                    local = InternetAddress.ReadIPv6(new ReadOnlySpan<byte>(data, 16));
                    break;
            }
        }

        error = extended == null ? default : Describe(header, extended, length) with { Offender = offender, Local = local };
        return extended != null;
    }

    private static OuterError Describe(msghdr* header, sock_extended_err* extended, int length)
    {
        var remote = SocketAddress.Read((byte*)header->msg_name, header->msg_namelen, out ushort port);
        bool isIcmp = extended->ee_origin is Ip.SO_EE_ORIGIN_ICMP or Ip.SO_EE_ORIGIN_ICMP6;
        int mtu = extended->ee_errno == Errno.EMSGSIZE ? (int)Math.Min(extended->ee_info, int.MaxValue) : 0;
        return new OuterError(
            remote, port, length, isIcmp ? extended->ee_type : (byte)0, isIcmp ? extended->ee_code : (byte)0, mtu, (int)extended->ee_errno,
            IsLocal: extended->ee_origin == Ip.SO_EE_ORIGIN_LOCAL);
    }
}
