using System.Runtime.InteropServices;
using System.Text;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

/// <summary>Takes the messages out of a datagram of netlink, one after another. A message that does not fit ends it.</summary>
internal ref struct NetlinkReader(ReadOnlySpan<byte> datagram)
{
    private ReadOnlySpan<byte> _rest = datagram;

    /// <summary>The next message; false at the end, and where what is left is no whole message.</summary>
    internal bool TryNext(out NetlinkMessage message)
    {
        message = default;
        if (_rest.Length < NetlinkWriter.HeaderLength)
        {
            return false;
        }

        uint length = MemoryMarshal.Read<uint>(_rest);
        if (length < NetlinkWriter.HeaderLength || length > (uint)_rest.Length)
        {
            return false;
        }

        message = new NetlinkMessage(_rest[..(int)length]);
        _rest = _rest[Math.Min(NetlinkWriter.Align((int)length), _rest.Length)..];
        return true;
    }
}

/// <summary>One message whose header is whole: the accessors cannot fail.</summary>
internal readonly ref struct NetlinkMessage(ReadOnlySpan<byte> bytes)
{
    private readonly ReadOnlySpan<byte> _bytes = bytes;

    internal ushort Type => MemoryMarshal.Read<ushort>(_bytes[4..]);

    internal ushort Flags => MemoryMarshal.Read<ushort>(_bytes[6..]);

    internal uint Sequence => MemoryMarshal.Read<uint>(_bytes[8..]);

    /// <summary>Of a notification: the port of who caused it, 0 = the kernel itself.</summary>
    internal uint PortId => MemoryMarshal.Read<uint>(_bytes[12..]);

    /// <summary>What follows struct nlmsghdr.</summary>
    internal ReadOnlySpan<byte> Payload => _bytes[NetlinkWriter.HeaderLength..];

    /// <summary>The attributes behind a family header; none where the payload is shorter.</summary>
    internal NetlinkAttributes AttributesAfter(int familyHeaderLength)
    {
        int start = NetlinkWriter.Align(familyHeaderLength);
        return new NetlinkAttributes(Payload.Length <= start ? default : Payload[start..]);
    }
}

/// <summary>Takes attributes one after another. One that does not fit ends it.</summary>
internal ref struct NetlinkAttributes(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    internal bool TryNext(out NetlinkAttribute attribute)
    {
        attribute = default;
        if (_rest.Length < 4)
        {
            return false;
        }

        int length = MemoryMarshal.Read<ushort>(_rest);
        if (length < 4 || length > _rest.Length)
        {
            return false;
        }

        attribute = new NetlinkAttribute((ushort)(MemoryMarshal.Read<ushort>(_rest[2..]) & Nl.NLA_TYPE_MASK), _rest[4..length]);
        _rest = _rest[Math.Min(NetlinkWriter.Align(length), _rest.Length)..];
        return true;
    }
}

/// <summary>One attribute. The typed accessors give 0, "" or the default address where the value is too short.</summary>
internal readonly ref struct NetlinkAttribute(ushort type, ReadOnlySpan<byte> value)
{
    internal ushort Type { get; } = type;

    internal ReadOnlySpan<byte> Value { get; } = value;

    internal byte Byte => Value.Length >= 1 ? Value[0] : (byte)0;

    internal uint UInt32 => Value.Length >= 4 ? MemoryMarshal.Read<uint>(Value) : 0;

    internal string Text
    {
        get
        {
            int end = Value.IndexOf((byte)0);
            return Encoding.UTF8.GetString(end < 0 ? Value : Value[..end]);
        }
    }

    internal NetlinkAttributes Nested => new(Value);

    internal InternetAddress Address(IpVersion version) =>
        Value.Length >= InternetAddress.BitLengthOf(version) / 8 ? InternetAddress.Read(version, Value) : default;
}
