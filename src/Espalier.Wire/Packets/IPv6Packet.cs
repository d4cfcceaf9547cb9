using System.Buffers.Binary;
using Espalier.Wire.Addresses;

namespace Espalier.Wire.Packets;

/// <summary>
/// A view of an IPv6 packet (RFC 8200 §3). <see cref="TryParse"/> validates once; after it no accessor can fail.
/// Numbers are in network byte order on the wire, and given in host byte order.
/// Extension headers are walked by <see cref="IPv6HeaderChain"/>. Jumbograms (RFC 2675) are not read as such:
/// a payload length of 0 means that nothing follows the header.
/// <code>
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// |Version| Traffic Class |           Flow Label                  |
/// |         Payload Length        |  Next Header  |   Hop Limit   |
/// |                  Source Address (16 bytes)                    |
/// |                Destination Address (16 bytes)                 |
/// </code>
/// </summary>
public readonly ref struct IPv6Packet
{
    /// <summary>Bytes of the header without extension headers.</summary>
    public const int FixedHeaderLength = 40;

    /// <summary>Smallest MTU, in bytes, of a link that carries IPv6 (RFC 8200 §5).</summary>
    public const int MinimumMtu = 1280;

    private readonly ReadOnlySpan<byte> _packet;

    private IPv6Packet(ReadOnlySpan<byte> packet) => _packet = packet;

    /// <summary>
    /// Makes a view of the packet at the start of <paramref name="buffer"/>, which may be longer than the packet.
    /// False where the version is not 6, the header is cut off, or header and payload length are longer than the buffer.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> buffer, out IPv6Packet packet)
    {
        packet = default;
        if (buffer.Length < FixedHeaderLength || buffer[0] >> 4 != 6)
        {
            return false;
        }

        int totalLength = FixedHeaderLength + BinaryPrimitives.ReadUInt16BigEndian(buffer[4..]);
        if (totalLength > buffer.Length)
        {
            return false;
        }

        packet = new IPv6Packet(buffer[..totalLength]);
        return true;
    }

    /// <summary>The packet, without what the buffer held behind it.</summary>
    public ReadOnlySpan<byte> Bytes => _packet;

    /// <summary>Bytes of the packet, the header included.</summary>
    public int TotalLength => _packet.Length;

    /// <summary>DSCP and ECN: eight bits across the first two bytes.</summary>
    public byte TrafficClass => (byte)(BinaryPrimitives.ReadUInt16BigEndian(_packet) >> 4);

    /// <summary>Flow label, 20 bits.</summary>
    public int FlowLabel => (int)(BinaryPrimitives.ReadUInt32BigEndian(_packet) & 0xFFFFF);

    /// <summary>Next header behind the fixed header.</summary>
    public byte NextHeader => _packet[6];

    /// <summary>Hop Limit.</summary>
    public byte HopLimit => _packet[7];

    /// <summary>Source address.</summary>
    public InternetAddress Source => InternetAddress.ReadIPv6(_packet.Slice(8, 16));

    /// <summary>Destination address.</summary>
    public InternetAddress Destination => InternetAddress.ReadIPv6(_packet.Slice(24, 16));

    /// <summary>What follows the fixed header: extension headers and upper layer.</summary>
    public ReadOnlySpan<byte> Payload => _packet[FixedHeaderLength..];
}
