using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;

namespace Espalier.Wire.Packets;

/// <summary>
/// A view of an IPv4 packet (RFC 791 §3.1). <see cref="TryParse"/> validates once; after it no accessor can fail.
/// Numbers are in network byte order on the wire, and given in host byte order.
/// The view owns nothing: it is valid as long as the buffer behind it.
/// <code>
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// |Version|  IHL  |Type of Service|          Total Length         |
/// |         Identification        |Flags|      Fragment Offset    |
/// |  Time to Live |    Protocol   |         Header Checksum       |
/// |                       Source Address                          |
/// |                    Destination Address                        |
/// |                    Options                    |    Padding    |
/// </code>
/// </summary>
public readonly ref struct IPv4Packet
{
    /// <summary>Bytes of a header without options.</summary>
    public const int MinimumHeaderLength = 20;

    /// <summary>Bytes of the largest header (IHL 15).</summary>
    public const int MaximumHeaderLength = 60;

    /// <summary>The DF bit in the 16-bit word of flags and fragment offset.</summary>
    public const ushort DontFragmentFlag = 0x4000;

    /// <summary>The MF bit in the 16-bit word of flags and fragment offset.</summary>
    public const ushort MoreFragmentsFlag = 0x2000;

    /// <summary>The fragment offset, in units of 8 bytes, in the 16-bit word of flags and fragment offset.</summary>
    public const ushort FragmentOffsetMask = 0x1FFF;

    private readonly ReadOnlySpan<byte> _packet;

    private IPv4Packet(ReadOnlySpan<byte> packet) => _packet = packet;

    /// <summary>
    /// Makes a view of the packet at the start of <paramref name="buffer"/>, which may be longer than the packet.
    /// False where the version is not 4, the header is shorter than 20 bytes or longer than the packet,
    /// or the total length is longer than the buffer. The header checksum is left to <see cref="HasValidChecksum"/>.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> buffer, out IPv4Packet packet)
    {
        packet = default;
        if (buffer.Length < MinimumHeaderLength || buffer[0] >> 4 != 4)
        {
            return false;
        }

        int headerLength = (buffer[0] & 0x0F) * 4;
        int totalLength = BinaryPrimitives.ReadUInt16BigEndian(buffer[2..]);
        if (headerLength < MinimumHeaderLength || totalLength < headerLength || totalLength > buffer.Length)
        {
            return false;
        }

        packet = new IPv4Packet(buffer[..totalLength]);
        return true;
    }

    /// <summary>The packet, without what the buffer held behind it.</summary>
    public ReadOnlySpan<byte> Bytes => _packet;

    /// <summary>Bytes of the header with its options: 20 to 60.</summary>
    public int HeaderLength => (_packet[0] & 0x0F) * 4;

    /// <summary>Bytes of the packet.</summary>
    public int TotalLength => _packet.Length;

    /// <summary>DSCP and ECN (RFC 2474, RFC 3168).</summary>
    public byte TrafficClass => _packet[1];

    /// <summary>Identification, for reassembly.</summary>
    public ushort Identification => BinaryPrimitives.ReadUInt16BigEndian(_packet[4..]);

    /// <summary>The DF flag.</summary>
    public bool DontFragment => (FlagsAndOffset & DontFragmentFlag) != 0;

    /// <summary>The MF flag.</summary>
    public bool MoreFragments => (FlagsAndOffset & MoreFragmentsFlag) != 0;

    /// <summary>Fragment offset in bytes.</summary>
    public int FragmentOffset => (FlagsAndOffset & FragmentOffsetMask) * 8;

    /// <summary>True for a piece of a larger packet, the first included.</summary>
    public bool IsFragment => (FlagsAndOffset & (MoreFragmentsFlag | FragmentOffsetMask)) != 0;

    /// <summary>Time to Live.</summary>
    public byte TimeToLive => _packet[8];

    /// <summary>Protocol of the payload.</summary>
    public byte Protocol => _packet[9];

    /// <summary>Header checksum as it stands in the packet.</summary>
    public ushort HeaderChecksum => BinaryPrimitives.ReadUInt16BigEndian(_packet[10..]);

    /// <summary>True where the header checksum is right (RFC 791 §3.1).</summary>
    public bool HasValidChecksum => InternetChecksum.IsValid(Header);

    /// <summary>Source address.</summary>
    public InternetAddress Source => InternetAddress.ReadIPv4(_packet.Slice(12, 4));

    /// <summary>Destination address.</summary>
    public InternetAddress Destination => InternetAddress.ReadIPv4(_packet.Slice(16, 4));

    /// <summary>The header with its options.</summary>
    public ReadOnlySpan<byte> Header => _packet[..HeaderLength];

    /// <summary>Options and their padding: 0 to 40 bytes.</summary>
    public ReadOnlySpan<byte> Options => _packet[MinimumHeaderLength..HeaderLength];

    /// <summary>What follows the header.</summary>
    public ReadOnlySpan<byte> Payload => _packet[HeaderLength..];

    private ushort FlagsAndOffset => BinaryPrimitives.ReadUInt16BigEndian(_packet[6..]);
}
