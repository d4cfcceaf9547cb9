using System.Runtime.InteropServices;
using Espalier.Io.Interop;

namespace Espalier.Io.Netlink;

/// <summary>Turns one answer of a dump into a value; false leaves it out.</summary>
internal delegate bool NetlinkParser<T>(in NetlinkMessage message, out T value);

/// <summary>
/// A socket for requests and their answers. The kernel handles a request before send returns, and each part of a dump when the one before it is
/// received, so that a blocking receive ends. Owned by one thread. The socket belongs to the network namespace of the thread that created it.
/// </summary>
internal sealed unsafe class NetlinkSocket : IDisposable
{
    /// <summary>Messages of one send: their answers fit the default receive buffer even if each is refused.</summary>
    internal const int LargestBatch = 64;

    private const int DumpAttempts = 16;

    private readonly SafeDescriptor _descriptor;
    private readonly byte[] _buffer = new byte[32 * 1024];
    private uint _sequence;

    /// <exception cref="IOException">The kernel has no netlink, or no descriptor is free.</exception>
    internal NetlinkSocket(int protocol)
    {
        _descriptor = new SafeDescriptor(Libc.socket(Socket.AF_NETLINK, Socket.SOCK_RAW | Socket.SOCK_CLOEXEC, protocol));
        if (_descriptor.IsInvalid)
        {
            throw new IOException($"Cannot open a netlink socket: {Errno.Text(Errno.Last)}");
        }

        var address = new sockaddr_nl { nl_family = Socket.AF_NETLINK };
        uint length = (uint)sizeof(sockaddr_nl);
        if (Libc.bind(_descriptor, &address, length) != 0 || Libc.getsockname(_descriptor, &address, &length) != 0)
        {
            int errno = Errno.Last;
            _descriptor.Dispose();
            throw new IOException($"Cannot bind a netlink socket: {Errno.Text(errno)}");
        }

        PortId = address.nl_pid;

        // Older kernels lack these: the answers are then longer, and without words.
        Enable(Nl.NETLINK_EXT_ACK);
        Enable(Nl.NETLINK_CAP_ACK);
    }

    /// <summary>Its address, which the kernel gave it.</summary>
    internal uint PortId { get; }

    /// <summary>Sends the messages and gathers what the kernel refused; an empty list says that all were done.</summary>
    internal List<NetlinkError> Transact(NetlinkWriter messages, NetlinkMessageHandler? answers = null)
    {
        List<NetlinkError> errors = [];
        if (messages.Count == 0)
        {
            return errors;
        }

        uint first = _sequence + 1;
        _sequence += (uint)messages.Count;
        messages.Seal(first);
        Send(messages.Written);
        bool acknowledged = false;
        while (!acknowledged)
        {
            var reader = new NetlinkReader(Receive());
            while (reader.TryNext(out var message))
            {
                uint index = message.Sequence - first;
                if (index >= (uint)messages.Count)
                {
                    continue;
                }

                if (message.Type != Nl.NLMSG_ERROR)
                {
                    answers?.Invoke(message);
                    continue;
                }

                if (TryReadError(message, (int)index, out var error))
                {
                    errors.Add(error);
                }

                acknowledged |= index == (uint)messages.Count - 1;
            }
        }

        return errors;
    }

    /// <summary>Sends one message; throws where it is refused.</summary>
    /// <exception cref="NetlinkException">The kernel refused it.</exception>
    internal void Request(NetlinkWriter message, string operation, NetlinkMessageHandler? answers = null)
    {
        foreach (var error in Transact(message, answers))
        {
            throw new NetlinkException(operation, error.ErrorNumber, error.KernelText);
        }
    }

    /// <summary>Asks for a dump; one that changed meanwhile (NLM_F_DUMP_INTR) is asked for again.</summary>
    /// <exception cref="NetlinkException">The kernel refused it, or it changed each time.</exception>
    internal List<T> Dump<T>(NetlinkWriter request, string operation, NetlinkParser<T> parser)
    {
        for (int attempt = 0; attempt < DumpAttempts; attempt++)
        {
            List<T> values = [];
            if (TryDump(request, operation, parser, values))
            {
                return values;
            }
        }

        throw new NetlinkException(operation, Errno.EAGAIN, "the table changes faster than it can be read");
    }

    public void Dispose() => _descriptor.Dispose();

    private bool TryDump<T>(NetlinkWriter request, string operation, NetlinkParser<T> parser, List<T> values)
    {
        uint sequence = ++_sequence;
        request.Seal(sequence);
        Send(request.Written);
        bool consistent = true;
        while (true)
        {
            var reader = new NetlinkReader(Receive());
            while (reader.TryNext(out var message))
            {
                if (message.Sequence != sequence)
                {
                    continue;
                }

                consistent &= (message.Flags & Nl.NLM_F_DUMP_INTR) == 0;
                if (message.Type == Nl.NLMSG_ERROR && TryReadError(message, 0, out var error))
                {
                    throw new NetlinkException(operation, error.ErrorNumber, error.KernelText);
                }

                if (message.Type == Nl.NLMSG_DONE)
                {
                    int status = message.Payload.Length >= 4 ? MemoryMarshal.Read<int>(message.Payload) : 0;
                    return status == 0 ? consistent : throw new NetlinkException(operation, -status, null);
                }

                if (message.Type > Nl.NLMSG_OVERRUN && parser(message, out var value))
                {
                    values.Add(value);
                }
            }
        }
    }

    /// <summary>
    /// Reads struct nlmsgerr; false for an acknowledgement.
    /// <code>
    /// | errno, negative | nlmsghdr of the request | its payload, unless NLM_F_CAPPED | attributes if NLM_F_ACK_TLVS |
    /// </code>
    /// </summary>
    private static bool TryReadError(in NetlinkMessage message, int index, out NetlinkError error)
    {
        const int FixedLength = 4 + NetlinkWriter.HeaderLength;
        error = default;
        int errno = message.Payload.Length >= 4 ? -MemoryMarshal.Read<int>(message.Payload) : Errno.EBADMSG;
        if (errno == 0)
        {
            return false;
        }

        string? text = null;
        if ((message.Flags & Nl.NLM_F_ACK_TLVS) != 0 && message.Payload.Length >= FixedLength)
        {
            int echoed = (message.Flags & Nl.NLM_F_CAPPED) != 0
                ? 0
                : (int)Math.Min(MemoryMarshal.Read<uint>(message.Payload[4..]) - NetlinkWriter.HeaderLength, int.MaxValue / 2);
            var attributes = message.AttributesAfter(FixedLength + echoed);
            while (attributes.TryNext(out var attribute))
            {
                if (attribute.Type == Nl.NLMSGERR_ATTR_MSG)
                {
                    text = attribute.Text;
                }
            }
        }

        error = new NetlinkError(index, errno, text);
        return true;
    }

    private void Enable(int option)
    {
        int one = 1;
        _ = Libc.setsockopt(_descriptor, Nl.SOL_NETLINK, option, &one, sizeof(int));
    }

    private void Send(ReadOnlySpan<byte> bytes)
    {
        var kernel = new sockaddr_nl { nl_family = Socket.AF_NETLINK };
        fixed (byte* pointer = bytes)
        {
            while (Libc.sendto(_descriptor, pointer, (nuint)bytes.Length, Socket.MSG_NOSIGNAL, &kernel, (uint)sizeof(sockaddr_nl)) < 0)
            {
                if (Errno.Last != Errno.EINTR)
                {
                    throw new IOException($"Cannot send a netlink request: {Errno.Text(Errno.Last)}");
                }
            }
        }
    }

    /// <summary>Receives one datagram from the kernel; what other processes send is left aside.</summary>
    private ReadOnlySpan<byte> Receive()
    {
        fixed (byte* pointer = _buffer)
        {
            while (true)
            {
                sockaddr_nl sender;
                uint senderLength = (uint)sizeof(sockaddr_nl);
                nint length = Libc.recvfrom(_descriptor, pointer, (nuint)_buffer.Length, Socket.MSG_TRUNC, &sender, &senderLength);
                if (length < 0)
                {
                    if (Errno.Last == Errno.EINTR)
                    {
                        continue;
                    }

                    throw new IOException($"Cannot receive from netlink: {Errno.Text(Errno.Last)}");
                }

                if (sender.nl_pid == 0)
                {
                    return length <= _buffer.Length
                        ? _buffer.AsSpan(0, (int)length)
                        : throw new IOException($"A netlink answer of {length} bytes does not fit the buffer of {_buffer.Length}.");
                }
            }
        }
    }
}

/// <summary>Takes one answer.</summary>
internal delegate void NetlinkMessageHandler(in NetlinkMessage message);
