using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;

namespace Espalier.Wire.Packets;

/// <summary>
/// Writes headers into a caller's buffer, which must be long enough (programming error otherwise), and returns how many bytes they take.
/// Allocates nothing.
/// </summary>
public static class PacketWriter
{
    /// <summary>Hop limit of packets of our own (the kernel's default).</summary>
    public const byte DefaultTimeToLive = 64;

    /// <summary>Writes an IPv4 or IPv6 header, by the version of <paramref name="source"/>, for <paramref name="payloadLength"/> bytes.</summary>
    public static int WriteIp(
        Span<byte> destinationBuffer, InternetAddress source, InternetAddress destination, byte protocol, int payloadLength,
        byte trafficClass = 0, byte timeToLive = DefaultTimeToLive) =>
        source.Version == IpVersion.IPv6
            ? WriteIPv6(destinationBuffer, source, destination, protocol, payloadLength, trafficClass, timeToLive)
            : WriteIPv4(destinationBuffer, source, destination, protocol, payloadLength, 0, IPv4Packet.DontFragmentFlag, trafficClass, timeToLive);

    /// <summary>
    /// Writes an IPv4 header of 20 bytes with its checksum. <paramref name="flagsAndOffset"/> is the 16-bit word of DF, MF and offset.
    /// </summary>
    public static int WriteIPv4(
        Span<byte> destinationBuffer, InternetAddress source, InternetAddress destination, byte protocol, int payloadLength,
        ushort identification, ushort flagsAndOffset, byte trafficClass = 0, byte timeToLive = DefaultTimeToLive)
    {
        var header = destinationBuffer[..IPv4Packet.MinimumHeaderLength];
        header[0] = 0x45;
        header[1] = trafficClass;
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], checked((ushort)(IPv4Packet.MinimumHeaderLength + payloadLength)));
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], identification);
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], flagsAndOffset);
        header[8] = timeToLive;
        header[9] = protocol;
        source.Write(header[12..]);
        destination.Write(header[16..]);
        WriteIPv4Checksum(header);
        return header.Length;
    }

    /// <summary>Writes an IPv6 header of 40 bytes, flow label 0.</summary>
    public static int WriteIPv6(
        Span<byte> destinationBuffer, InternetAddress source, InternetAddress destination, byte nextHeader, int payloadLength,
        byte trafficClass = 0, byte hopLimit = DefaultTimeToLive)
    {
        var header = destinationBuffer[..IPv6Packet.FixedHeaderLength];
        BinaryPrimitives.WriteUInt32BigEndian(header, 0x6000_0000u | ((uint)trafficClass << 20));
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], checked((ushort)payloadLength));
        header[6] = nextHeader;
        header[7] = hopLimit;
        source.Write(header[8..]);
        destination.Write(header[24..]);
        return header.Length;
    }

    /// <summary>Writes the UDP header in front of the payload that stands behind it in <paramref name="datagram"/>, with its checksum.</summary>
    public static int WriteUdp(Span<byte> datagram, InternetAddress source, InternetAddress destination, ushort sourcePort, ushort destinationPort) =>
        WriteUdp(datagram[..UdpDatagram.HeaderLength], datagram[UdpDatagram.HeaderLength..], source, destination, sourcePort, destinationPort);

    /// <summary>Writes a UDP header for a payload that stands elsewhere, with its checksum.</summary>
    public static int WriteUdp(
        Span<byte> header, ReadOnlySpan<byte> payload, InternetAddress source, InternetAddress destination, ushort sourcePort, ushort destinationPort)
    {
        int length = UdpDatagram.HeaderLength + payload.Length;
        BinaryPrimitives.WriteUInt16BigEndian(header, sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(header[2..], destinationPort);
        BinaryPrimitives.WriteUInt16BigEndian(header[4..], checked((ushort)length));
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], 0);
        ulong sum = InternetChecksum.SumPseudoHeader(source, destination, IpProtocol.Udp, length);
        sum = InternetChecksum.Sum(header[..UdpDatagram.HeaderLength], sum);
        ushort checksum = InternetChecksum.Finish(InternetChecksum.Sum(payload, sum));

        // RFC 768: a computed 0 is sent as all ones, since 0 means that there is no checksum.
        BinaryPrimitives.WriteUInt16BigEndian(header[6..], checksum == 0 ? (ushort)0xFFFF : checksum);
        return UdpDatagram.HeaderLength;
    }

    /// <summary>Computes and writes the checksum of an IPv4 header; <paramref name="header"/> is the header with its options.</summary>
    public static void WriteIPv4Checksum(Span<byte> header)
    {
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], 0);
        BinaryPrimitives.WriteUInt16BigEndian(header[10..], InternetChecksum.Compute(header));
    }
}
