using System.Buffers.Binary;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Fragmentation;

/// <summary>
/// Cuts an IPv4 packet whose DF is clear into pieces for an MTU (RFC 791 §3.2, "An Example Fragmentation Procedure").
/// Use: <c>TryCreate</c>, then <c>TryWriteNext</c> with a buffer of <c>mtu</c> bytes until it returns false.
/// All pieces but the last carry a multiple of 8 bytes; options go into later pieces only where their copied flag is set;
/// each piece has its own header checksum. A packet that is a fragment already is cut further: offsets add up, and its last piece keeps MF.
/// Allocates nothing. The packet must not change, and no buffer may overlap it, while pieces are written.
/// </summary>
public ref struct IPv4Fragmenter
{
    private const byte CopiedFlag = 0x80;
    private const byte EndOfOptions = 0;
    private const byte NoOperation = 1;

    private readonly IPv4Packet _packet;
    private readonly int _mtu;
    private readonly int _laterHeaderLength;
    private int _position;

    private IPv4Fragmenter(IPv4Packet packet, int mtu, int laterHeaderLength)
    {
        _packet = packet;
        _mtu = mtu;
        _laterHeaderLength = laterHeaderLength;
    }

    /// <summary>
    /// Prepares to cut the packet at the start of <paramref name="buffer"/>. False where it is no IPv4 packet, it does not fit
    /// <paramref name="mtu"/> and has DF set, the MTU leaves less than 8 bytes of payload a piece, its options are malformed,
    /// or it ends past the 65,535 bytes that offsets can name.
    /// </summary>
    public static bool TryCreate(ReadOnlySpan<byte> buffer, int mtu, out IPv4Fragmenter fragmenter)
    {
        fragmenter = default;
        if (!IPv4Packet.TryParse(buffer, out var packet))
        {
            return false;
        }

        bool fits = packet.TotalLength <= mtu;
        if (!fits && (packet.DontFragment || mtu < packet.HeaderLength + 8 || packet.FragmentOffset + packet.Payload.Length > ushort.MaxValue))
        {
            return false;
        }

        Span<byte> options = stackalloc byte[IPv4Packet.MaximumHeaderLength - IPv4Packet.MinimumHeaderLength];
        int optionsLength = 0;
        if (!fits && !TryCopyOptions(packet.Options, options, out optionsLength))
        {
            return false;
        }

        fragmenter = new IPv4Fragmenter(packet, mtu, IPv4Packet.MinimumHeaderLength + optionsLength);
        return true;
    }

    /// <summary>How many pieces there will be, from the first: 1 where the packet fits as it is.</summary>
    public readonly int Count
    {
        get
        {
            if (_packet.TotalLength <= _mtu)
            {
                return 1;
            }

            int afterFirst = _packet.Payload.Length - ((_mtu - _packet.HeaderLength) & ~7);
            int last = _mtu - _laterHeaderLength;
            int each = last & ~7;
            return afterFirst <= last ? 2 : 2 + ((afterFirst - last + each - 1) / each);
        }
    }

    /// <summary>
    /// Writes the next piece into <paramref name="destination"/>, which has room for the MTU or for the packet, whichever is smaller,
    /// and says how long it is. False where all pieces have been written.
    /// </summary>
    public bool TryWriteNext(Span<byte> destination, out int length)
    {
        var payload = _packet.Payload;
        length = 0;
        if (_position < 0)
        {
            return false;
        }

        if (_packet.TotalLength <= _mtu)
        {
            _packet.Bytes.CopyTo(destination);
            length = _packet.TotalLength;
            _position = -1;
            return true;
        }

        int headerLength = _position == 0 ? _packet.HeaderLength : _laterHeaderLength;
        int left = payload.Length - _position;
        bool isLast = headerLength + left <= _mtu;
        int size = isLast ? left : (_mtu - headerLength) & ~7;
        length = headerLength + size;
        payload.Slice(_position, size).CopyTo(destination[headerLength..]);
        WriteHeader(destination[..headerLength], length, isLast);
        _position = isLast ? -1 : _position + size;
        return true;
    }

    private readonly void WriteHeader(Span<byte> header, int totalLength, bool isLast)
    {
        _packet.Header[..IPv4Packet.MinimumHeaderLength].CopyTo(header);
        if (_position == 0)
        {
            _packet.Options.CopyTo(header[IPv4Packet.MinimumHeaderLength..]);
        }
        else
        {
            TryCopyOptions(_packet.Options, header[IPv4Packet.MinimumHeaderLength..], out _);
        }

        header[0] = (byte)(0x40 | (header.Length / 4));
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], (ushort)totalLength);
        int offset = (_packet.FragmentOffset + _position) / 8;
        bool moreFollow = !isLast || _packet.MoreFragments;
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], (ushort)(offset | (moreFollow ? IPv4Packet.MoreFragmentsFlag : 0)));
        PacketWriter.WriteIPv4Checksum(header);
    }

    // RFC 791 §3.1: the copied flag is the first bit of an option's type. End of options and no operation are single bytes and not copied;
    // what is copied is padded with end of options to a multiple of 4. False where an option's length runs past the header.
    private static bool TryCopyOptions(ReadOnlySpan<byte> options, Span<byte> destination, out int length)
    {
        length = 0;
        for (int position = 0; position < options.Length && options[position] != EndOfOptions;)
        {
            if (options[position] == NoOperation)
            {
                position++;
                continue;
            }

            int size = position + 1 < options.Length ? options[position + 1] : 0;
            if (size < 2 || position + size > options.Length)
            {
                return false;
            }

            if ((options[position] & CopiedFlag) != 0)
            {
                options.Slice(position, size).CopyTo(destination[length..]);
                length += size;
            }

            position += size;
        }

        int padded = (length + 3) & ~3;
        destination[length..padded].Clear();
        length = padded;
        return true;
    }
}
