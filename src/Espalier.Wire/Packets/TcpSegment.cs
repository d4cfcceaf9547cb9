using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;

namespace Espalier.Wire.Packets;

/// <summary>
/// A view of a TCP segment (RFC 9293 §3.1). <see cref="TryParse"/> validates once; after it no accessor can fail.
/// Numbers are in network byte order on the wire, and given in host byte order.
/// <code>
/// |          Source Port          |       Destination Port        |
/// |                        Sequence Number                        |
/// |                     Acknowledgment Number                     |
/// | Offset| Rsrvd |C|E|U|A|P|R|S|F|            Window             |
/// |           Checksum            |         Urgent Pointer        |
/// |                           [Options]                           |
/// </code>
/// </summary>
public readonly ref struct TcpSegment
{
    /// <summary>Bytes of a header without options.</summary>
    public const int MinimumHeaderLength = 20;

    private readonly ReadOnlySpan<byte> _segment;

    private TcpSegment(ReadOnlySpan<byte> segment) => _segment = segment;

    /// <summary>False where the header is cut off or its data offset is under 5 or past the segment. The whole span is the segment.</summary>
    public static bool TryParse(ReadOnlySpan<byte> buffer, out TcpSegment segment)
    {
        segment = default;
        if (buffer.Length < MinimumHeaderLength)
        {
            return false;
        }

        int headerLength = (buffer[12] >> 4) * 4;
        if (headerLength < MinimumHeaderLength || headerLength > buffer.Length)
        {
            return false;
        }

        segment = new TcpSegment(buffer);
        return true;
    }

    /// <summary>Source port.</summary>
    public ushort SourcePort => BinaryPrimitives.ReadUInt16BigEndian(_segment);

    /// <summary>Destination port.</summary>
    public ushort DestinationPort => BinaryPrimitives.ReadUInt16BigEndian(_segment[2..]);

    /// <summary>Sequence number of the first byte.</summary>
    public uint SequenceNumber => BinaryPrimitives.ReadUInt32BigEndian(_segment[4..]);

    /// <summary>Acknowledgment number.</summary>
    public uint AcknowledgmentNumber => BinaryPrimitives.ReadUInt32BigEndian(_segment[8..]);

    /// <summary>Bytes of the header with its options: 20 to 60.</summary>
    public int HeaderLength => (_segment[12] >> 4) * 4;

    /// <summary>The eight flags, CWR the most significant and FIN the least.</summary>
    public byte Flags => _segment[13];

    /// <summary>Window as it stands in the header.</summary>
    public ushort Window => BinaryPrimitives.ReadUInt16BigEndian(_segment[14..]);

    /// <summary>Checksum.</summary>
    public ushort Checksum => BinaryPrimitives.ReadUInt16BigEndian(_segment[16..]);

    /// <summary>Options and their padding.</summary>
    public ReadOnlySpan<byte> Options => _segment[MinimumHeaderLength..HeaderLength];

    /// <summary>What follows the header.</summary>
    public ReadOnlySpan<byte> Payload => _segment[HeaderLength..];

    /// <summary>True where the checksum is right for these addresses.</summary>
    public bool HasValidChecksum(InternetAddress source, InternetAddress destination) =>
        InternetChecksum.Fold(InternetChecksum.Sum(
            _segment, InternetChecksum.SumPseudoHeader(source, destination, IpProtocol.Tcp, _segment.Length))) == 0xFFFF;
}
