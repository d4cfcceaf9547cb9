using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Icmp;

/// <summary>
/// What an ICMP error quotes of an ESP packet that we sent: enough to find the SA that it claims to be about.
/// A path MTU is learnt only from an error that quotes one of our SPIs (RFC 4301 §8.2.1, RFC 4303 has the SPI in clear).
/// Numbers are in host byte order.
/// </summary>
/// <param name="Source">Outer source; default where only the ESP bytes were given.</param>
/// <param name="Destination">Outer destination; default where only the ESP bytes were given.</param>
/// <param name="SourcePort">Outer UDP source port, 0 for protocol 50.</param>
/// <param name="DestinationPort">Outer UDP destination port, 0 for protocol 50.</param>
/// <param name="Spi">SPI, never 0.</param>
/// <param name="Sequence">Low 32 bits of the sequence number, or null where the quote ends before it.</param>
public readonly record struct QuotedEspPacket(
    InternetAddress Source, InternetAddress Destination, ushort SourcePort, ushort DestinationPort, uint Spi, uint? Sequence)
{
    /// <summary>
    /// Reads what stands from the first byte of ESP on (the kernel's error queue gives a UDP socket its payload).
    /// False where the quote ends within the SPI, as that of an ICMP error of 8 quoted bytes about UDP does, or the SPI is 0:
    /// then it is an IKE message (non-ESP marker, RFC 3948 §2.2).
    /// </summary>
    public static bool TryParseEsp(ReadOnlySpan<byte> esp, out QuotedEspPacket quoted)
    {
        quoted = default;
        if (esp.Length < 4)
        {
            return false;
        }

        uint spi = BinaryPrimitives.ReadUInt32BigEndian(esp);
        quoted = new QuotedEspPacket(default, default, 0, 0, spi, esp.Length < 8 ? null : BinaryPrimitives.ReadUInt32BigEndian(esp[4..]));
        return spi != 0;
    }

    /// <summary>
    /// Reads the quoted packet from its IP header on: ESP as protocol 50 or in UDP. The quote may be cut off anywhere behind the SPI.
    /// False for anything else, a non-initial fragment among it.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> packet, out QuotedEspPacket quoted)
    {
        quoted = default;
        return !packet.IsEmpty && (packet[0] >> 4) switch
        {
            4 => TryParseIPv4(packet, ref quoted),
            6 => TryParseIPv6(packet, ref quoted),
            _ => false,
        };
    }

    // The total length says more than the quote holds, so the view of a whole packet does not fit.
    private static bool TryParseIPv4(ReadOnlySpan<byte> packet, ref QuotedEspPacket quoted)
    {
        int headerLength = (packet[0] & 0x0F) * 4;
        if (headerLength < IPv4Packet.MinimumHeaderLength || packet.Length < headerLength ||
            (BinaryPrimitives.ReadUInt16BigEndian(packet[6..]) & IPv4Packet.FragmentOffsetMask) != 0)
        {
            return false;
        }

        return TryParseUpper(
            packet[9], packet[headerLength..], InternetAddress.ReadIPv4(packet[12..]), InternetAddress.ReadIPv4(packet[16..]), ref quoted);
    }

    private static bool TryParseIPv6(ReadOnlySpan<byte> packet, ref QuotedEspPacket quoted)
    {
        if (packet.Length < IPv6Packet.FixedHeaderLength)
        {
            return false;
        }

        var payload = packet[IPv6Packet.FixedHeaderLength..];
        return IPv6HeaderChain.TryWalk(packet[6], payload, out var chain) && chain.FragmentOffset == 0 &&
            TryParseUpper(
                chain.Protocol, payload[chain.Length..], InternetAddress.ReadIPv6(packet[8..]), InternetAddress.ReadIPv6(packet[24..]), ref quoted);
    }

    private static bool TryParseUpper(
        byte protocol, ReadOnlySpan<byte> upper, InternetAddress source, InternetAddress destination, ref QuotedEspPacket quoted)
    {
        ushort sourcePort = 0;
        ushort destinationPort = 0;
        if (protocol == IpProtocol.Udp && upper.Length >= UdpDatagram.HeaderLength)
        {
            sourcePort = BinaryPrimitives.ReadUInt16BigEndian(upper);
            destinationPort = BinaryPrimitives.ReadUInt16BigEndian(upper[2..]);
            upper = upper[UdpDatagram.HeaderLength..];
        }
        else if (protocol != IpProtocol.Esp)
        {
            return false;
        }

        if (!TryParseEsp(upper, out var esp))
        {
            return false;
        }

        quoted = esp with { Source = source, Destination = destination, SourcePort = sourcePort, DestinationPort = destinationPort };
        return true;
    }
}
