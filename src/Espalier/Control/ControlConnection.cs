using System.Buffers.Binary;
using Espalier.Io;
using Espalier.Io.Interop;
using Espalier.Io.UnixSockets;

namespace Espalier.Control;

/// <summary>An answer of the data plane that is an error: its errno and, where it gave one, its reason.</summary>
internal sealed class ControlRefusedException(int errno, string? reason)
    : Exception(reason ?? Errno.Text(errno))
{
    /// <summary>The errno.</summary>
    internal int Error { get; } = errno;
}

/// <summary>
/// The commands' side of the control socket: one request, its answers, done. Messages are netlink messages in host byte order.
/// <code>
///  0      4     6      8     12    16
///  | len  | type| flags| seq | pid | payload …
/// </code>
/// </summary>
internal sealed class ControlConnection : IDisposable
{
    private const int HeaderLength = 16;
    private const ushort NlmsgError = 2, NlmsgDone = 3;
    private const ushort FlagRequest = 1, FlagCapped = 0x100, FlagAckTlvs = 0x200;
    private const ushort AttributeMessage = 1, AttributeCookie = 3;
    private const int TimeoutMilliseconds = 5000;
    private readonly UnixConnection _connection;
    private readonly byte[] _buffer = new byte[65536];

    /// <summary>Connects.</summary>
    /// <exception cref="DeviceException">Nobody listens, or access is denied.</exception>
    internal ControlConnection(string path) => _connection = UnixConnection.Connect(path);

    /// <inheritdoc/>
    public void Dispose() => _connection.Dispose();

    /// <summary>Asks whether the data plane would serve a program, as ATTACH without a descriptor does. Returns the mark that it exempts, if it says so.</summary>
    /// <exception cref="ControlRefusedException">It would not; the message says why.</exception>
    /// <exception cref="DeviceException">It hung up or did not answer.</exception>
    internal uint? Probe()
    {
        Span<byte> payload = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ControlMessage.Version);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], ControlMessage.NetlinkXfrm);
        Send(ControlMessage.Attach, payload);
        while (true)
        {
            var message = Receive();
            if (message.Type == NlmsgError)
            {
                Check(message);
                var cookie = Attribute(message, AttributeCookie);
                return cookie.Length >= 4 ? BinaryPrimitives.ReadUInt32LittleEndian(cookie) : null;
            }
        }
    }

    /// <summary>Asks for the statistics: one JSON document in UTF-8.</summary>
    /// <exception cref="ControlRefusedException">It refuses; the message says why.</exception>
    /// <exception cref="DeviceException">It hung up or did not answer.</exception>
    internal byte[] Statistics()
    {
        using var document = new MemoryStream();
        Send(ControlMessage.Statistics, []);
        var rest = ReadOnlySpan<byte>.Empty;
        while (true)
        {
            if (rest.IsEmpty)
            {
                rest = ReceiveDatagram();
            }

            var message = Take(ref rest);
            switch (message.Type)
            {
                case NlmsgDone:
                    return document.ToArray();
                case NlmsgError:
                    Check(message);
                    break;
                case ControlMessage.Statistics:
                    document.Write(message.Payload);
                    break;
                default:
                    break;
            }
        }
    }

    private void Send(ushort type, ReadOnlySpan<byte> payload)
    {
        Span<byte> message = stackalloc byte[HeaderLength + 8];
        message = message[..(HeaderLength + payload.Length)];
        message.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(message, (uint)message.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(message[4..], type);
        BinaryPrimitives.WriteUInt16LittleEndian(message[6..], FlagRequest);
        BinaryPrimitives.WriteUInt32LittleEndian(message[8..], 1);
        payload.CopyTo(message[HeaderLength..]);
        int errno = _connection.Send(message);

        // Where it fails, the reason may be there to read: the data plane tells a client that it does not serve, before it was asked.
        if (errno != 0 && !_connection.WaitReadable(0))
        {
            throw new DeviceException($"the data plane does not take requests: {Errno.Text(errno)}", errno);
        }
    }

    private ReadOnlySpan<byte> ReceiveDatagram()
    {
        if (!_connection.WaitReadable(TimeoutMilliseconds))
        {
            throw new DeviceException("the data plane did not answer within 5 s");
        }

        var received = _connection.Receive(_buffer);
        received.Descriptor?.Dispose();
        return received.Outcome == UnixReceiveOutcome.Message && !received.Truncated
            ? _buffer.AsSpan(0, received.Length)
            : throw new DeviceException("the data plane hung up");
    }

    private Message Receive()
    {
        var datagram = ReceiveDatagram();
        return Take(ref datagram);
    }

    private static Message Take(scoped ref ReadOnlySpan<byte> datagram)
    {
        uint length = datagram.Length >= HeaderLength ? BinaryPrimitives.ReadUInt32LittleEndian(datagram) : 0;
        if (length < HeaderLength || length > datagram.Length)
        {
            throw new DeviceException("the data plane's answer is no netlink message: is it of another version?");
        }

        var message = new Message(
            BinaryPrimitives.ReadUInt16LittleEndian(datagram[4..]), BinaryPrimitives.ReadUInt16LittleEndian(datagram[6..]), datagram[HeaderLength..(int)length]);
        datagram = datagram[Math.Min(datagram.Length, ((int)length + 3) & ~3)..];
        return message;
    }

    private static void Check(Message message)
    {
        int error = message.Payload.Length >= 4 ? -BinaryPrimitives.ReadInt32LittleEndian(message.Payload) : Errno.EBADMSG;
        if (error != 0)
        {
            var text = Attribute(message, AttributeMessage);
            throw new ControlRefusedException(error, text.IsEmpty ? null : System.Text.Encoding.UTF8.GetString(text.TrimEnd((byte)0)));
        }
    }

    // struct nlmsgerr: error, header of the request, its payload unless capped; then attributes.
    private static ReadOnlySpan<byte> Attribute(Message message, ushort type)
    {
        var payload = message.Payload;
        if ((message.Flags & FlagAckTlvs) == 0 || payload.Length < 4 + HeaderLength)
        {
            return default;
        }

        uint echoed = BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]);
        int start = 4 + HeaderLength + ((message.Flags & FlagCapped) != 0 || echoed < HeaderLength ? 0 : (int)((echoed - HeaderLength + 3) & ~3u));
        while (start + 4 <= payload.Length)
        {
            int length = BinaryPrimitives.ReadUInt16LittleEndian(payload[start..]);
            if (length < 4 || length > payload.Length - start)
            {
                return default;
            }

            if ((BinaryPrimitives.ReadUInt16LittleEndian(payload[(start + 2)..]) & 0x3fff) == type)
            {
                return payload[(start + 4)..(start + length)];
            }

            start += (length + 3) & ~3;
        }

        return default;
    }

    private readonly ref struct Message(ushort type, ushort flags, ReadOnlySpan<byte> payload)
    {
        internal ushort Type { get; } = type;

        internal ushort Flags { get; } = flags;

        internal ReadOnlySpan<byte> Payload { get; } = payload;
    }
}
