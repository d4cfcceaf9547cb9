using System.Buffers.Binary;
using Espalier.Wire.Addresses;

namespace Espalier.Wire.Packets;

/// <summary>Reads an inner packet, once, for everything that decides about it. Allocates nothing, throws nothing.</summary>
public static class InnerPacketParser
{
    /// <summary>
    /// Reads the IPv4 or IPv6 packet at the start of <paramref name="buffer"/>, which may be longer than the packet
    /// (TFC padding, RFC 4303 §2.7). False where the packet is malformed as <see cref="IPv4Packet.TryParse"/>,
    /// <see cref="IPv6Packet.TryParse"/> or <see cref="IPv6HeaderChain.TryWalk"/> say.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> buffer, out PacketSummary summary)
    {
        if (!buffer.IsEmpty)
        {
            switch (buffer[0] >> 4)
            {
                case 4:
                    return TryParseIPv4(buffer, out summary);
                case 6:
                    return TryParseIPv6(buffer, out summary);
            }
        }

        summary = default;
        return false;
    }

    private static bool TryParseIPv4(ReadOnlySpan<byte> buffer, out PacketSummary summary)
    {
        summary = default;
        if (!IPv4Packet.TryParse(buffer, out var packet))
        {
            return false;
        }

        summary.Version = IpVersion.IPv4;
        summary.Source = packet.Source;
        summary.Destination = packet.Destination;
        summary.FragmentId = packet.Identification;
        summary.TotalLength = packet.TotalLength;
        summary.HeaderLength = packet.HeaderLength;
        summary.Protocol = packet.Protocol;
        summary.TrafficClass = packet.TrafficClass;
        summary.TimeToLive = packet.TimeToLive;
        summary.DontFragment = packet.DontFragment;
        summary.IsFragment = packet.IsFragment;
        summary.IsFirstFragment = packet.MoreFragments && packet.FragmentOffset == 0;
        summary.ProtocolKnown = true;
        ReadPorts(packet.Payload, ref summary);
        return true;
    }

    private static bool TryParseIPv6(ReadOnlySpan<byte> buffer, out PacketSummary summary)
    {
        summary = default;
        if (!IPv6Packet.TryParse(buffer, out var packet) || !IPv6HeaderChain.TryWalk(packet.NextHeader, packet.Payload, out var chain))
        {
            return false;
        }

        summary.Version = IpVersion.IPv6;
        summary.Source = packet.Source;
        summary.Destination = packet.Destination;
        summary.FragmentId = chain.Identification;
        summary.TotalLength = packet.TotalLength;
        summary.HeaderLength = IPv6Packet.FixedHeaderLength + chain.Length;
        summary.Protocol = chain.Protocol;
        summary.TrafficClass = packet.TrafficClass;
        summary.TimeToLive = packet.HopLimit;
        summary.DontFragment = true;
        summary.IsFragment = chain.IsFragment;
        summary.IsFirstFragment = chain.IsFragment && chain.FragmentOffset == 0;
        summary.ProtocolKnown = chain.IsProtocolKnown;
        ReadPorts(packet.Payload[chain.Length..], ref summary);
        return true;
    }

    // RFC 4301 §4.4.1.1: ports, ICMP type and code, Mobility Header type; the GRE key as the kernel's flow decoder has it.
    private static void ReadPorts(ReadOnlySpan<byte> upper, ref PacketSummary summary)
    {
        if (summary.IsLaterFragment)
        {
            return;
        }

        int needed = LengthOfPorts(summary.Protocol, summary.Version, upper);
        if (upper.Length < needed || (needed > FragmentUnit && summary is { IsFirstFragment: true, Version: IpVersion.IPv4 }))
        {
            return;
        }

        summary.PortsKnown = true;
        if (needed == 0)
        {
            return;
        }

        switch (summary.Protocol)
        {
            case IpProtocol.Icmp or IpProtocol.IcmpV6:
                summary.SourcePort = upper[0];
                summary.DestinationPort = upper[1];
                break;
            case IpProtocol.MobilityHeader:
                summary.SourcePort = upper[2];
                break;
            case IpProtocol.Gre when needed == GreBaseLength:
                break;
            default:
                summary.SourcePort = BinaryPrimitives.ReadUInt16BigEndian(upper[(needed - 4)..]);
                summary.DestinationPort = BinaryPrimitives.ReadUInt16BigEndian(upper[(needed - 2)..]);
                break;
        }
    }

    private const int GreBaseLength = 4;

    // RFC 4301 §7.4: of a first fragment, so much no other fragment can overwrite (RFC 791 §3.2). A GRE key behind a checksum is not in it. Receivers of
    // IPv6 discard what overlaps (RFC 8200 §4.5).
    private const int FragmentUnit = 8;

    // How many bytes of the next layer header must be there; ports and the GRE key are the last four of them. 0 = the protocol has none.
    private static int LengthOfPorts(byte protocol, IpVersion version, ReadOnlySpan<byte> upper) => protocol switch
    {
        IpProtocol.Tcp or IpProtocol.Udp or IpProtocol.UdpLite or IpProtocol.Sctp or IpProtocol.Dccp => 4,
        IpProtocol.Icmp when version == IpVersion.IPv4 => 2,
        IpProtocol.IcmpV6 when version == IpVersion.IPv6 => 2,
        IpProtocol.MobilityHeader when version == IpVersion.IPv6 => 3,
        IpProtocol.Gre => LengthOfGreKey(upper),
        _ => 0,
    };

    // RFC 2890 §2: C (0x80) puts four bytes of checksum before the key, K (0x20) says that there is one.
    private static int LengthOfGreKey(ReadOnlySpan<byte> upper) =>
        upper.Length < GreBaseLength || (upper[0] & 0x20) == 0 ? GreBaseLength : GreBaseLength + ((upper[0] & 0x80) != 0 ? 8 : 4);
}
