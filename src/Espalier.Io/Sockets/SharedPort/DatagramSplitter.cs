using Espalier.Io.Batches;
using Espalier.Io.Interop;

namespace Espalier.Io.Sockets.SharedPort;

/// <summary>
/// Reads a few datagrams at a time, each perhaps several that the kernel joined (UDP_GRO), and hands them out one by one: ESP into the slots of a
/// batch, the rest to <see cref="ForDaemon"/>. What does not fit into the batch waits for the next one. Belongs to the receiving thread.
/// <code>
///   recvmmsg ─▶ | datagram | segment segment segment … | datagram | …  ─▶ slots
/// </code>
/// </summary>
internal sealed unsafe class DatagramSplitter
{
    private const int Messages = 8;
    private const int MessageSize = 65_536;
    private const int PendingErrorRetries = 8;

    private readonly MessageArray _messages = new();
    private readonly byte[] _buffer = Touched(Messages * MessageSize);
    private readonly PacketSlot[] _about = new PacketSlot[Messages];
    private readonly int[] _segmentLength = new int[Messages];
    private int _count;
    private int _current;
    private int _offset;
    private long _drops;

    /// <summary>Creates it, with buffers of its own.</summary>
    internal DatagramSplitter()
    {
        _messages.EnsureCapacity(Messages);
        fixed (byte* start = _buffer)
        {
            // Pinned: the addresses hold.
            for (int i = 0; i < Messages; i++)
            {
                _messages.Vectors[i] = new iovec { iov_base = start + (i * MessageSize), iov_len = MessageSize };
            }
        }
    }

    /// <summary>Takes what is not ESP: where from, and its bytes, which are valid during the call.</summary>
    internal delegate void DaemonTraffic(in PacketSlot about, ReadOnlySpan<byte> payload);

    /// <summary>Takes what is not ESP.</summary>
    internal required DaemonTraffic ForDaemon { private get; init; }

    /// <summary>Datagrams that the kernel had joined to others.</summary>
    internal long Joined { get; private set; }

    /// <summary>Reads from a socket; all that was read before has been handed out. False: nothing waits.</summary>
    internal bool Read(SafeDescriptor socket)
    {
        for (int i = 0; i < Messages; i++)
        {
            // The kernel writes the lengths it used into these.
            _messages.Headers[i].msg_hdr.msg_namelen = SocketAddress.Capacity;
            _messages.Headers[i].msg_hdr.msg_controllen = MessageArray.ControlCapacity;
        }

        _count = ReceiveMessages(socket);
        _current = 0;
        _offset = 0;
        for (int i = 0; i < _count; i++)
        {
            _about[i] = new PacketSlot { Length = (int)_messages.Headers[i].msg_len };
            DatagramReceiver.Describe(ref _about[i], &_messages.Headers[i].msg_hdr, ref _drops, out _segmentLength[i]);
        }

        return _count > 0;
    }

    /// <summary>Appends to the batch what waits. False: the batch is full and something is left.</summary>
    internal bool Drain(PacketBatch batch)
    {
        for (; _current < _count; _current++, _offset = 0)
        {
            ref readonly var about = ref _about[_current];
            int segment = _segmentLength[_current] > 0 ? _segmentLength[_current] : Math.Max(about.Length, 1);
            Joined += _offset == 0 && about.Length > segment ? ((about.Length - 1) / segment) + 1 : 0;
            do
            {
                var payload = _buffer.AsSpan((_current * MessageSize) + _offset, Math.Min(segment, about.Length - _offset));
                if (!PortTraffic.IsOurs(payload))
                {
                    ForDaemon(in about, payload);
                }
                else if (batch.Count == batch.Capacity)
                {
                    return false;
                }
                else
                {
                    Append(batch, in about, payload);
                }

                _offset += segment;
            }
            while (_offset < about.Length);
        }

        return true;
    }

    private static byte[] Touched(int length)
    {
        byte[] buffer = GC.AllocateArray<byte>(length, pinned: true);
        buffer.AsSpan().Fill(1);
        return buffer;
    }

    private static void Append(PacketBatch batch, in PacketSlot about, ReadOnlySpan<byte> payload)
    {
        int room = batch.SlotSize - batch.Headroom;
        bool truncated = payload.Length > room;
        payload = truncated ? payload[..room] : payload;
        int index = batch.Count++;
        int offset = batch.SlotStart(index) + batch.Headroom;
        payload.CopyTo(batch.Buffer.AsSpan(offset));
        batch[index] = about with { Offset = offset, Length = payload.Length, Truncated = truncated };
    }

    // An ICMP error that arrives between two calls is reported by the next one, in place of a datagram (ip(7), IP_RECVERR).
    private int ReceiveMessages(SafeDescriptor socket)
    {
        for (int retries = 0; retries < PendingErrorRetries; retries++)
        {
            int count = Libc.recvmmsg(socket, _messages.Headers, Messages, Socket.MSG_DONTWAIT, null);
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
}
