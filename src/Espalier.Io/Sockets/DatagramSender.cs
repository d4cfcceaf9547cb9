using System.Runtime.CompilerServices;
using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// Sends slots of a batch by as few sendmmsg as possible: one for each run of slots with the same DF bit, which is an option of the socket;
/// source address and traffic class go with each packet as control messages. Slots in a row that differ only in their bytes, and of which only the
/// last may be shorter, are one message that the kernel cuts (UDP_SEGMENT); where they lie one right behind the other, one piece of it. Belongs to the sending thread.
/// </summary>
internal sealed unsafe class DatagramSender(SafeDescriptor descriptor, IpVersion version, bool isRaw, OuterSocketOptions options)
{
    // UDP_MAX_SEGMENTS of kernels before 6.9.
    private const int LargestSegmentCount = 64;

    // One refusal may be about the sizes of that message, or an ICMP error; so many, with nothing cut between, are not.
    private const int RefusalsAllowed = 16;

    private readonly MessageArray _messages = new();
    private readonly LinkLocalScopes _scopes = new();
    private readonly bool _asksToCut = options.Segmentation && !isRaw;
    private int[] _slotOf = [];
    private int[] _firstSlot = [];
    private int _messageCount;
    private int _slotCount;
    private int _vectorCount;
    private int _segmentLength;
    private int _messageLength;
    private int _refusals;
    private bool? _dontFragment;

    /// <summary>False once the kernel refused to cut messages, or where it was not asked to.</summary>
    internal bool Segments => _asksToCut && SegmentationError == 0;

    /// <summary>
    /// The errno by which the kernel refused to cut messages, 0 = it has not. It is tried here: a kernel without UDP_SEGMENT would not refuse a message, but
    /// send it as one datagram.
    /// </summary>
    internal int SegmentationError { get; private set; } =
        options.Segmentation && !isRaw ? SocketOptions.TrySet(descriptor, Ip.IPPROTO_UDP, Udp.UDP_SEGMENT, 0) : 0;

    /// <summary>Messages that the kernel took to cut.</summary>
    internal long SegmentedMessages { get; private set; }

    /// <summary>Sends the slots in order, sets each one's Error, and returns how many the kernel took.</summary>
    internal int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        EnsureCapacity(slots.Length);
        int sent = 0;
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

                if (options.SendOnly && !isRaw && slot.Local.IsUnspecified)
                {
                    // The socket's own source is a loopback address.
                    slot.Error = Errno.EADDRNOTAVAIL;
                    continue;
                }

                if (slot.DontFragment != _dontFragment)
                {
                    sent += SendRun(batch);
                    slot.Error = Switch(slot.DontFragment);
                    if (slot.Error != 0)
                    {
                        continue;
                    }
                }

                Add(batch, index, buffer);
            }

            return sent + SendRun(batch);
        }
    }

    private void EnsureCapacity(int count)
    {
        if (count > _slotOf.Length)
        {
            _slotOf = new int[count];
            _firstSlot = new int[count];
        }

        _messages.EnsureCapacity(count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Add(PacketBatch batch, int index, byte* buffer)
    {
        ref var slot = ref batch[index];
        int position = _slotCount++;
        _slotOf[position] = index;
        if (Segments && _messageCount > 0 && Continues(batch, in slot, position))
        {
            Extend(_messageCount - 1, position, buffer + slot.Offset, slot.Length);
            return;
        }

        _firstSlot[_messageCount] = position;
        _segmentLength = slot.Length;
        _messageLength = slot.Length;
        Point(_vectorCount, buffer + slot.Offset, slot.Length);
        Fill(&_messages.Headers[_messageCount++].msg_hdr, in slot, _vectorCount++);
    }

    private void Point(int vector, byte* start, int length) => _messages.Vectors[vector] = new iovec { iov_base = start, iov_len = (nuint)length };

    /// <summary>How many slots a message has; the last one is still growing.</summary>
    private int SlotsOf(int message) => (message + 1 < _messageCount ? _firstSlot[message + 1] : _slotCount) - _firstSlot[message];

    /// <summary>True where the slot can be one more segment of the last message.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool Continues(PacketBatch batch, in PacketSlot slot, int position)
    {
        int first = _firstSlot[_messageCount - 1];
        int count = position - first;
        ref readonly var like = ref batch[_slotOf[first]];
        return _messageLength == count * _segmentLength && slot.Length <= _segmentLength && slot.Length > 0
            && count < LargestSegmentCount && _messageLength + slot.Length <= IOuterSocket.LargestMessage
            && slot.TrafficClass == like.TrafficClass && slot.RemotePort == like.RemotePort && slot.Remote == like.Remote && slot.Local == like.Local;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Extend(int message, int position, byte* start, int length)
    {
        var header = &_messages.Headers[message].msg_hdr;
        var last = _messages.Vectors + _vectorCount - 1;
        if ((byte*)last->iov_base + last->iov_len == start)
        {
            last->iov_len += (nuint)length;
        }
        else
        {
            Point(_vectorCount++, start, length);
            header->msg_iovlen++;
        }

        if (position == _firstSlot[message] + 1)
        {
            byte* at = (byte*)header->msg_control + header->msg_controllen;
            *(ushort*)ControlMessages.Write(ref at, Ip.IPPROTO_UDP, Udp.UDP_SEGMENT, sizeof(ushort)) = (ushort)_segmentLength;
            header->msg_controllen = (nuint)(at - (byte*)header->msg_control);
        }

        _messageLength += length;
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

    private void Fill(msghdr* header, in PacketSlot slot, int vector)
    {
        uint scope = LinkLocalScopes.IsLinkLocal(slot.Remote) ? _scopes.Find(slot.Local) : 0;
        header->msg_iov = _messages.Vectors + vector;
        header->msg_iovlen = 1;

        // A raw IPv6 socket takes the port for a protocol number and refuses another one than its own.
        header->msg_namelen = SocketAddress.Write((byte*)header->msg_name, slot.Remote, isRaw ? (ushort)0 : slot.RemotePort, scope);
        byte* at = (byte*)header->msg_control;
        if (version == IpVersion.IPv4)
        {
            PacketControl.WriteIPv4(ref at, in slot);
        }
        else
        {
            PacketControl.WriteIPv6(ref at, in slot, scope);
        }

        header->msg_controllen = (nuint)(at - (byte*)header->msg_control);
    }

    /// <summary>
    /// Sends the messages that wait. sendmmsg stops at the first one that is refused, and says why only when that is the
    /// first of the call. The reason may also be an ICMP error about an earlier packet, which the kernel reports once, in place of sending:
    /// so each refused message is tried once more before it is given up.
    /// </summary>
    private int SendRun(PacketBatch batch)
    {
        int sent = 0;
        int position = 0;
        bool retried = false;
        while (position < _messageCount)
        {
            int taken = Libc.sendmmsg(
                descriptor, _messages.Headers + position, (uint)(_messageCount - position), Socket.MSG_DONTWAIT | Socket.MSG_NOSIGNAL);
            int errno = taken < 0 ? Errno.Last : 0;
            if (taken > 0)
            {
                for (int end = position + taken; position < end; position++)
                {
                    sent += Sent(batch, position);
                }

                retried = false;
            }
            else if (errno != Errno.EINTR)
            {
                if (!retried && !IsFull(errno))
                {
                    retried = true;
                    continue;
                }

                sent += Refused(batch, position++, errno);
                retried = false;
            }
        }

        _messageCount = 0;
        _slotCount = 0;
        _vectorCount = 0;
        return sent;
    }

    private static bool IsFull(int errno) => errno is Errno.EAGAIN or Errno.ENOBUFS or Errno.ENOMEM;

    private int Sent(PacketBatch batch, int message)
    {
        int count = SlotsOf(message);
        foreach (int slot in _slotOf.AsSpan(_firstSlot[message], count))
        {
            batch[slot].Error = 0;
        }

        if (count > 1)
        {
            SegmentedMessages++;
            _refusals = 0;
        }

        return count;
    }

    /// <summary>
    /// A message of several segments is sent again one by one, so that each packet has its own answer: the kernel may not cut what must be fragmented or
    /// exceeds the interface (EMSGSIZE, EINVAL), or may not cut at all on this way: then it is not asked again.
    /// </summary>
    private int Refused(PacketBatch batch, int message, int errno)
    {
        ref var header = ref _messages.Headers[message].msg_hdr;
        var slots = _slotOf.AsSpan(_firstSlot[message], SlotsOf(message));
        if (slots.Length == 1 || IsFull(errno))
        {
            foreach (int slot in slots)
            {
                Refuse(ref batch[slot], errno);
            }

            return 0;
        }

        // Its first vector is free now: the others of the call have theirs.
        byte* start = (byte*)header.msg_iov->iov_base - batch[slots[0]].Offset;
        header.msg_iovlen = 1;
        header.msg_controllen -= (nuint)ControlMessages.Space(sizeof(ushort));
        int sent = 0;
        for (int i = 0; i < slots.Length; i++)
        {
            *header.msg_iov = new iovec { iov_base = start + batch[slots[i]].Offset, iov_len = (nuint)batch[slots[i]].Length };
            int answer = SendOne(_messages.Headers + message);
            batch[slots[i]].Error = 0;
            sent++;
            if (answer != 0)
            {
                Refuse(ref batch[slots[i]], answer);
                sent--;
            }
        }

        _refusals += sent == slots.Length && MayRefuseToCut(errno) ? 1 : 0;
        if (errno == Errno.EIO || _refusals == RefusalsAllowed)
        {
            SegmentationError = errno;
        }

        return sent;
    }

    /// <summary>True for what may mean that messages are not cut on this way. Without DF, EMSGSIZE is about segments that must be fragmented.</summary>
    private bool MayRefuseToCut(int errno) =>
        errno is Errno.EINVAL or Errno.ENOPROTOOPT or Errno.EOPNOTSUPP || (errno == Errno.EMSGSIZE && _dontFragment == true);

    private int SendOne(mmsghdr* message)
    {
        for (bool retried = false; ; retried = true)
        {
            if (Libc.sendmmsg(descriptor, message, 1, Socket.MSG_DONTWAIT | Socket.MSG_NOSIGNAL) == 1)
            {
                return 0;
            }

            int errno = Errno.Last;
            if (errno != Errno.EINTR && (retried || IsFull(errno)))
            {
                return errno;
            }
        }
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
