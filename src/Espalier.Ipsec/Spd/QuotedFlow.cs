using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.Ipsec.Spd;

/// <summary>
/// What an inner ICMP error is about (RFC 4301 §6.2): the flow of the packet that it quotes, turned round, so that it runs the way of the error. A router whose
/// address no policy covers reports about packets that one does. As the kernel's icmp_err_packet and xfrm_icmp_flow_decode. Allocates nothing.
/// </summary>
public static class QuotedFlow
{
    // Headers and ports stand at the start; an IPv6 quote with more extension headers than this is not read.
    private const int LongestRead = 256;

    private const byte TimeExceeded = 11;
    private const byte IPv6DestinationUnreachable = 1;
    private const byte IPv6TimeExceeded = 3;

    /// <summary>
    /// Reads it. False where the packet is no error of a kind that quotes a packet (destination unreachable, time exceeded, ICMPv6 packet too big), or
    /// its quote does not show addresses and protocol.
    /// </summary>
    /// <param name="packet">The packet, from its IP header on.</param>
    /// <param name="summary">What the parser found in it.</param>
    /// <param name="flow">The quoted packet's flow with its ends exchanged.</param>
    public static bool TryReverse(ReadOnlySpan<byte> packet, in PacketSummary summary, out FlowKey flow)
    {
        flow = default;
        return IsError(summary) && TryRead(packet[..summary.TotalLength], summary, out flow);
    }

    private static bool IsError(in PacketSummary summary) => summary.PortsKnown && summary.Protocol switch
    {
        IpProtocol.Icmp when summary.Version == IpVersion.IPv4 =>
            summary.SourcePort is IcmpErrorMessage.DestinationUnreachable or TimeExceeded,
        IpProtocol.IcmpV6 when summary.Version == IpVersion.IPv6 =>
            summary.SourcePort is IPv6DestinationUnreachable or IcmpErrorMessage.PacketTooBig or IPv6TimeExceeded,
        _ => false,
    };

    private static bool TryRead(ReadOnlySpan<byte> packet, in PacketSummary summary, out FlowKey flow)
    {
        flow = default;
        int start = summary.HeaderLength + IcmpMessage.HeaderLength;
        if (packet.Length <= start)
        {
            return false;
        }

        var quote = packet[start..];
        Span<byte> copy = stackalloc byte[LongestRead];
        copy = copy[..Math.Min(quote.Length, LongestRead)];
        quote[..copy.Length].CopyTo(copy);
        if (!TryShorten(copy, summary.Version) || !InnerPacketParser.TryParse(copy, out var quoted))
        {
            return false;
        }

        bool isIcmp = quoted.Protocol is IpProtocol.Icmp or IpProtocol.IcmpV6;
        flow = new FlowKey(
            quoted.Destination,
            quoted.Source,
            quoted.Protocol,
            isIcmp ? quoted.SourcePort : quoted.DestinationPort,
            isIcmp ? quoted.DestinationPort : quoted.SourcePort,
            quoted.PortsKnown);
        return quoted.ProtocolKnown;
    }

    // A quote is mostly cut off: the parser is told that the packet ends there.
    private static bool TryShorten(Span<byte> packet, IpVersion version)
    {
        bool isIPv6 = version == IpVersion.IPv6;
        int header = isIPv6 ? IPv6Packet.FixedHeaderLength : IPv4Packet.MinimumHeaderLength;
        if (packet.Length < header || packet[0] >> 4 != (isIPv6 ? 6 : 4))
        {
            return false;
        }

        var length = packet.Slice(isIPv6 ? 4 : 2, sizeof(ushort));
        int room = packet.Length - (isIPv6 ? header : 0);
        BinaryPrimitives.WriteUInt16BigEndian(length, (ushort)Math.Min(room, BinaryPrimitives.ReadUInt16BigEndian(length)));
        return true;
    }
}
