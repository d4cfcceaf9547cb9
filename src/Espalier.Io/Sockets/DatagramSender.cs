using System.Buffers.Binary;
using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// Sends slots of a batch by as few sendmmsg as possible: one for each run of slots with the same DF bit, which is an option of the socket;
/// source address and traffic class go with each packet as control messages. Belongs to the sending thread.
/// </summary>
internal sealed unsafe class DatagramSender(SafeDescriptor descriptor, IpVersion version, bool isRaw)
{
    private readonly MessageArray _messages = new();
    private readonly LinkLocalScopes _scopes = new();
    private int[] _slotOfMessage = [];
    private bool? _dontFragment;

    /// <summary>Sends the slots in order, sets each one's Error, and returns how many the kernel took.</summary>
    internal int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        if (slots.Length > _slotOfMessage.Length)
        {
            _slotOfMessage = new int[slots.Length];
        }

        _messages.EnsureCapacity(slots.Length);
        int sent = 0;
        int count = 0;
        fixed (byte* buffer = batch.Buffer)
        {
            foreach (int index in slots)
            {
                ref var slot = ref batch[index];
                if (slot.Remote.Version != version)
                {
                    slot.Error = Errno.EAFNOSUPPORT;
                    continue;
                }

                if (slot.DontFragment != _dontFragment)
                {
                    sent += SendRun(batch, count);
                    count = 0;
                    slot.Error = Switch(slot.DontFragment);
                    if (slot.Error != 0)
                    {
                        continue;
                    }
                }

                Fill(count, in slot, buffer);
                _slotOfMessage[count++] = index;
            }

            return sent + SendRun(batch, count);
        }
    }

    /// <summary>
    /// PROBE sets DF and leaves the path MTU that the kernel learnt aside, since ICMP errors reach it unverified. Without DF, OMIT does the same in
    /// IPv4: this host fragments what exceeds its interface, routers the rest. Not DONT: with it a UDP socket gets no reports of path MTUs, also
    /// not those about packets that it sent with DF before. In IPv6 only the source fragments, to what the kernel learnt: DONT.
    /// </summary>
    private int Switch(bool dontFragment)
    {
        int errno = version == IpVersion.IPv4
            ? SocketOptions.TrySet(descriptor, Ip.IPPROTO_IP, Ip.IP_MTU_DISCOVER, dontFragment ? Ip.IP_PMTUDISC_PROBE : Ip.IP_PMTUDISC_OMIT)
            : SocketOptions.TrySet(descriptor, Ip.IPPROTO_IPV6, Ip.IPV6_MTU_DISCOVER, dontFragment ? Ip.IPV6_PMTUDISC_PROBE : Ip.IPV6_PMTUDISC_DONT);
        if (errno == 0)
        {
            _dontFragment = dontFragment;
        }

        return errno;
    }

    private void Fill(int message, in PacketSlot slot, byte* buffer)
    {
        _messages.Vectors[message].iov_base = buffer + slot.Offset;
        _messages.Vectors[message].iov_len = (nuint)slot.Length;

        uint scope = LinkLocalScopes.IsLinkLocal(slot.Remote) ? _scopes.Find(slot.Local) : 0;
        msghdr* header = &_messages.Headers[message].msg_hdr;

        // A raw IPv6 socket takes the port for a protocol number and refuses another one than its own.
        header->msg_namelen = SocketAddress.Write((byte*)header->msg_name, slot.Remote, isRaw ? (ushort)0 : slot.RemotePort, scope);
        byte* at = (byte*)header->msg_control;
        if (version == IpVersion.IPv4)
        {
            WriteIPv4(ref at, in slot);
        }
        else
        {
            WriteIPv6(ref at, in slot, scope);
        }

        header->msg_controllen = (nuint)(at - (byte*)header->msg_control);
    }

    private static void WriteIPv4(ref byte* at, in PacketSlot slot)
    {
        if (!slot.Local.IsUnspecified)
        {
            var information = (in_pktinfo*)ControlMessages.Write(ref at, Ip.IPPROTO_IP, Ip.IP_PKTINFO, sizeof(in_pktinfo));
            *information = new in_pktinfo { ipi_spec_dst = SocketAddress.BigEndian((uint)slot.Local.Bits) };
        }

        *(int*)ControlMessages.Write(ref at, Ip.IPPROTO_IP, Ip.IP_TOS, sizeof(int)) = slot.TrafficClass;
    }

    private static void WriteIPv6(ref byte* at, in PacketSlot slot, uint scope)
    {
        if (!slot.Local.IsUnspecified)
        {
            var information = (in6_pktinfo*)ControlMessages.Write(ref at, Ip.IPPROTO_IPV6, Ip.IPV6_PKTINFO, sizeof(in6_pktinfo));
            BinaryPrimitives.WriteUInt128BigEndian(new Span<byte>(information->ipi6_addr, 16), slot.Local.Bits);
            information->ipi6_ifindex = scope;
        }

        *(int*)ControlMessages.Write(ref at, Ip.IPPROTO_IPV6, Ip.IPV6_TCLASS, sizeof(int)) = slot.TrafficClass;
    }

    /// <summary>
    /// Sends the first <paramref name="count"/> messages. sendmmsg stops at the first one that is refused, and says why only when that is the
    /// first of the call. The reason may also be an ICMP error about an earlier packet, which the kernel reports once, in place of sending:
    /// so each refused message is tried once more before it is given up.
    /// </summary>
    private int SendRun(PacketBatch batch, int count)
    {
        int sent = 0;
        int position = 0;
        bool retried = false;
        while (position < count)
        {
            int taken = Libc.sendmmsg(
                descriptor, _messages.Headers + position, (uint)(count - position), Socket.MSG_DONTWAIT | Socket.MSG_NOSIGNAL);
            int errno = taken < 0 ? Errno.Last : 0;
            if (taken > 0)
            {
                for (int end = position + taken; position < end; position++)
                {
                    batch[_slotOfMessage[position]].Error = 0;
                }

                sent += taken;
                retried = false;
            }
            else if (errno != Errno.EINTR)
            {
                if (!retried && errno is not (Errno.EAGAIN or Errno.ENOBUFS or Errno.ENOMEM))
                {
                    retried = true;
                    continue;
                }

                Refuse(ref batch[_slotOfMessage[position++]], errno);
                retried = false;
            }
        }

        return sent;
    }

    private void Refuse(ref PacketSlot slot, int errno)
    {
        slot.Error = errno == 0 ? Errno.EAGAIN : errno;
        if (LinkLocalScopes.IsLinkLocal(slot.Remote))
        {
            // The interface may have gone, and its address moved to another one.
            _scopes.Forget(slot.Local);
        }
    }
}
