using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// Fills a batch by one recvmmsg: a datagram a slot, or several that the kernel joined (UDP_GRO), which become a packet each where they lie. Each with its
/// peer, the local address it came to, its traffic class, and the socket's drop counter. Belongs to the receiving thread.
/// </summary>
internal sealed unsafe class DatagramReceiver(SafeDescriptor descriptor, bool stripIPv4Header)
{
    // An ICMP error that arrives between two calls is reported by the next one, in place of a datagram (ip(7), IP_RECVERR).
    private const int PendingErrorRetries = 8;
    private readonly MessageArray _messages = new();
    private long _drops;

    /// <summary>Datagrams that the kernel dropped for want of room, as far as received datagrams have told (SO_RXQ_OVFL). For any thread.</summary>
    internal long Drops => Volatile.Read(ref _drops);

    /// <summary>Returns the number of slots filled, 0 = nothing now.</summary>
    internal int Receive(PacketBatch batch)
    {
        batch.Clear();
        _messages.EnsureCapacity(batch.Capacity);
        fixed (byte* buffer = batch.Buffer)
        {
            Prepare(batch, buffer);
            int count = ReceiveMessages(batch.Capacity);
            for (int i = 0; i < count; i++)
            {
                var message = new PacketSlot { Offset = batch.SlotStart(i) + batch.Headroom, Length = (int)_messages.Headers[i].msg_len };
                int segmentLength = Describe(ref message, &_messages.Headers[i].msg_hdr);
                if (stripIPv4Header)
                {
                    StripHeader(ref message, buffer);
                }

                Add(batch, in message, segmentLength, messagesToCome: count - 1 - i);
            }

            return count;
        }
    }

    /// <summary>
    /// Adds what one message holds: a datagram, or several of <paramref name="segmentLength"/> bytes each but the last. Where there are more than the
    /// batch can describe, the last one is all the rest, marked as cut off.
    /// </summary>
    private static void Add(PacketBatch batch, in PacketSlot message, int segmentLength, int messagesToCome)
    {
        int end = message.Offset + message.Length;
        int offset = message.Offset;
        int last = batch.PacketCapacity - messagesToCome - 1;
        while (segmentLength > 0 && end - offset > segmentLength && batch.Count < last)
        {
            batch[batch.Count++] = message with { Offset = offset, Length = segmentLength, Truncated = false };
            offset += segmentLength;
        }

        int rest = end - offset;
        batch[batch.Count++] = message with { Offset = offset, Length = rest, Truncated = message.Truncated || (segmentLength > 0 && rest > segmentLength) };
    }

    private void Prepare(PacketBatch batch, byte* buffer)
    {
        nuint room = (nuint)(batch.SlotSize - batch.Headroom);
        for (int i = 0; i < batch.Capacity; i++)
        {
            _messages.Vectors[i].iov_base = buffer + batch.SlotStart(i) + batch.Headroom;
            _messages.Vectors[i].iov_len = room;

            // The kernel writes the lengths it used into these, so they are set anew for each call.
            _messages.Headers[i].msg_hdr.msg_namelen = SocketAddress.Capacity;
            _messages.Headers[i].msg_hdr.msg_controllen = MessageArray.ControlCapacity;
        }
    }

    private int ReceiveMessages(int capacity)
    {
        for (int retries = 0; retries < PendingErrorRetries; retries++)
        {
            int count = Libc.recvmmsg(descriptor, _messages.Headers, (uint)capacity, Socket.MSG_DONTWAIT, null);
            if (count >= 0)
            {
                return count;
            }

            if (Errno.Last == Errno.EAGAIN)
            {
                return 0;
            }
        }

        return 0;
    }

    /// <summary>Returns the length of the datagrams in a message of several, 0 = it is one.</summary>
    private int Describe(ref PacketSlot slot, msghdr* header)
    {
        int segmentLength = 0;
        slot.Remote = SocketAddress.Read((byte*)header->msg_name, header->msg_namelen, out slot.RemotePort);
        slot.Truncated = (header->msg_flags & Socket.MSG_TRUNC) != 0;
        for (var message = ControlMessages.First(header); message != null; message = ControlMessages.Next(header, message))
        {
            byte* data = ControlMessages.Data(message);
            int length = ControlMessages.DataLength(message);
            switch ((message->cmsg_level, message->cmsg_type))
            {
                case (Ip.IPPROTO_IP, Ip.IP_PKTINFO) when length >= sizeof(in_pktinfo):
                    slot.Local = new InternetAddress(IpVersion.IPv4, SocketAddress.BigEndian(((in_pktinfo*)data)->ipi_addr));
                    break;
                case (Ip.IPPROTO_IPV6, Ip.IPV6_PKTINFO) when length >= sizeof(in6_pktinfo):
                    slot.Local = InternetAddress.ReadIPv6(new ReadOnlySpan<byte>(data, 16));
                    break;
                case (Ip.IPPROTO_IP, Ip.IP_TOS) when length >= sizeof(byte):
                    slot.TrafficClass = *data;
                    break;
                case (Ip.IPPROTO_IPV6, Ip.IPV6_TCLASS) when length >= sizeof(int):
                    slot.TrafficClass = (byte)*(int*)data;
                    break;
                case (Socket.SOL_SOCKET, Socket.SO_RXQ_OVFL) when length >= sizeof(uint):
                    // The kernel's counter has 32 bits and wraps.
                    Volatile.Write(ref _drops, _drops + (*(uint*)data - (uint)_drops));
                    break;
                case (Ip.IPPROTO_UDP, Udp.UDP_GRO) when length >= sizeof(int):
                    segmentLength = *(int*)data;
                    break;
            }
        }

        return segmentLength;
    }

    /// <summary>raw(7): an IPv4 raw socket receives the IP header too (RFC 791 §3.1, IHL in units of four bytes); it is left out of the slot.</summary>
    private static void StripHeader(ref PacketSlot slot, byte* buffer)
    {
        const int MinimumHeader = 20;
        byte* header = buffer + slot.Offset;
        int headerLength = slot.Length >= MinimumHeader ? (*header & 0x0F) * 4 : slot.Length;
        if (headerLength < MinimumHeader || headerLength > slot.Length)
        {
            // Cannot come from the kernel, which has checked the header; nothing is left of it.
            headerLength = slot.Length;
        }
        else
        {
            slot.TrafficClass = header[1];
            slot.Local = InternetAddress.ReadIPv4(new ReadOnlySpan<byte>(header + 16, 4));
        }

        slot.Offset += headerLength;
        slot.Length -= headerLength;
    }
}
