using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;

namespace Espalier.Wire.Packets;

/// <summary>
/// A view of a UDP datagram (RFC 768). <see cref="TryParse"/> validates once; after it no accessor can fail.
/// Numbers are in network byte order on the wire, and given in host byte order.
/// <code>
/// |          Source Port          |        Destination Port       |
/// |            Length             |            Checksum           |
/// </code>
/// </summary>
public readonly ref struct UdpDatagram
{
    /// <summary>Bytes of the header.</summary>
    public const int HeaderLength = 8;

    private readonly ReadOnlySpan<byte> _datagram;

    private UdpDatagram(ReadOnlySpan<byte> datagram) => _datagram = datagram;

    /// <summary>False where the header is cut off, or its length is under 8 or over the buffer's.</summary>
    public static bool TryParse(ReadOnlySpan<byte> buffer, out UdpDatagram datagram)
    {
        datagram = default;
        if (buffer.Length < HeaderLength)
        {
            return false;
        }

        int length = BinaryPrimitives.ReadUInt16BigEndian(buffer[4..]);
        if (length < HeaderLength || length > buffer.Length)
        {
            return false;
        }

        datagram = new UdpDatagram(buffer[..length]);
        return true;
    }

    /// <summary>Source port.</summary>
    public ushort SourcePort => BinaryPrimitives.ReadUInt16BigEndian(_datagram);

    /// <summary>Destination port.</summary>
    public ushort DestinationPort => BinaryPrimitives.ReadUInt16BigEndian(_datagram[2..]);

    /// <summary>Bytes of header and payload.</summary>
    public int Length => _datagram.Length;

    /// <summary>Checksum; 0 = none was made (IPv4 only).</summary>
    public ushort Checksum => BinaryPrimitives.ReadUInt16BigEndian(_datagram[6..]);

    /// <summary>What follows the header.</summary>
    public ReadOnlySpan<byte> Payload => _datagram[HeaderLength..];

    /// <summary>True where the checksum is right for these addresses, or absent over IPv4 (RFC 8200 §8.1 asks for one over IPv6).</summary>
    public bool HasValidChecksum(InternetAddress source, InternetAddress destination) =>
        Checksum == 0
            ? source.Version == IpVersion.IPv4
            : InternetChecksum.Fold(InternetChecksum.Sum(
                _datagram, InternetChecksum.SumPseudoHeader(source, destination, IpProtocol.Udp, _datagram.Length))) == 0xFFFF;
}
