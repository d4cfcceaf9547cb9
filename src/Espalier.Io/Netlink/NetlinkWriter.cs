using System.Runtime.InteropServices;
using System.Text;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

/// <summary>
/// Builds one or more netlink messages one after another in a buffer that grows. Numbers are in host byte order, addresses in network byte order;
/// messages and attributes are padded with zeros to four bytes.
/// <code>
/// | nlmsghdr: length, type, flags, sequence, port | family header | attribute: length, type, value, padding | … | next message …
/// </code>
/// Owned by one thread.
/// </summary>
public sealed class NetlinkWriter
{
    /// <summary>Bytes of struct nlmsghdr.</summary>
    internal const int HeaderLength = 16;

    private byte[] _buffer;
    private int _length;
    private int _messageStart = -1;

    /// <summary>Allocates the first buffer.</summary>
    public NetlinkWriter(int capacity = 512) => _buffer = new byte[capacity];

    /// <summary>Number of complete messages.</summary>
    public int Count { get; private set; }

    /// <summary>The complete messages.</summary>
    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, _length);

    /// <summary>Forgets everything; the buffer is kept.</summary>
    public void Clear()
    {
        _length = 0;
        _messageStart = -1;
        Count = 0;
    }

    /// <summary>
    /// Starts a message and returns its family header, zeroed, to be filled in before the next call. NLM_F_REQUEST is always set; the sequence number is
    /// written when the message is sent.
    /// </summary>
    internal Span<byte> Begin(ushort type, ushort flags, int familyHeaderLength)
    {
        _messageStart = _length;
        var header = Extend(HeaderLength);
        MemoryMarshal.Write(header[4..], type);
        MemoryMarshal.Write(header[6..], (ushort)(flags | Nl.NLM_F_REQUEST));
        return Extend(familyHeaderLength);
    }

    /// <summary>Ends the message: writes its length.</summary>
    internal void End()
    {
        MemoryMarshal.Write(_buffer.AsSpan(_messageStart), (uint)(_length - _messageStart));
        _messageStart = -1;
        Count++;
    }

    /// <summary>Adds an attribute.</summary>
    internal void Attribute(ushort type, ReadOnlySpan<byte> value)
    {
        var space = Extend(4 + value.Length);
        MemoryMarshal.Write(space, (ushort)(4 + value.Length));
        MemoryMarshal.Write(space[2..], type);
        value.CopyTo(space[4..]);
    }

    /// <summary>Adds an attribute of 32 bits in host byte order.</summary>
    internal void Attribute(ushort type, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        MemoryMarshal.Write(bytes, value);
        Attribute(type, bytes);
    }

    /// <summary>Adds an attribute of one byte.</summary>
    internal void Attribute(ushort type, byte value) => Attribute(type, [value]);

    /// <summary>Adds an address.</summary>
    internal void Attribute(ushort type, InternetAddress value)
    {
        Span<byte> bytes = stackalloc byte[16];
        Attribute(type, bytes[..value.Write(bytes)]);
    }

    /// <summary>Adds a string with its terminating zero.</summary>
    internal void Attribute(ushort type, string value)
    {
        Span<byte> bytes = stackalloc byte[Encoding.UTF8.GetMaxByteCount(value.Length) + 1];
        int length = Encoding.UTF8.GetBytes(value, bytes);
        bytes[length] = 0;
        Attribute(type, bytes[..(length + 1)]);
    }

    /// <summary>Starts an attribute that holds others; returns what <see cref="EndNested"/> takes.</summary>
    internal int BeginNested(ushort type)
    {
        int start = _length;
        var space = Extend(4);
        MemoryMarshal.Write(space[2..], (ushort)(type | Nl.NLA_F_NESTED));
        return start;
    }

    /// <summary>Adds bytes that are no attribute, such as the family header inside VETH_INFO_PEER.</summary>
    internal Span<byte> Raw(int length) => Extend(length);

    /// <summary>Ends an attribute that holds others.</summary>
    internal void EndNested(int start) => MemoryMarshal.Write(_buffer.AsSpan(start), (ushort)(_length - start));

    /// <summary>Numbers the messages from <paramref name="firstSequence"/> on, and asks for an acknowledgement of the last one.</summary>
    internal void Seal(uint firstSequence)
    {
        int offset = 0;
        for (int i = 0; i < Count; i++)
        {
            var message = _buffer.AsSpan(offset);
            MemoryMarshal.Write(message[8..], firstSequence + (uint)i);
            if (i == Count - 1)
            {
                ushort flags = MemoryMarshal.Read<ushort>(message[6..]);
                MemoryMarshal.Write(message[6..], (ushort)(flags | Nl.NLM_F_ACK));
            }

            offset += Align(MemoryMarshal.Read<int>(message));
        }
    }

    /// <summary>Rounds up to four bytes.</summary>
    internal static int Align(int length) => (length + 3) & ~3;

    private Span<byte> Extend(int length)
    {
        int aligned = Align(length);
        if (_length + aligned > _buffer.Length)
        {
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + aligned));
        }

        var space = _buffer.AsSpan(_length, aligned);
        space.Clear();
        _length += aligned;
        return space[..length];
    }
}
