using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Icmp;

/// <summary>
/// Whether an ICMP error about a packet may be sent (RFC 1122 §3.2.2, RFC 1812 §4.3.2.7, RFC 4443 §2.4 (e)). The only one that is sent says "too big".
/// Two rules cannot be seen from the packet alone and are the caller's: it came as a link-layer broadcast (none does on a TUN),
/// and the destination is a directed broadcast address or the source an anycast address of a network that the caller knows.
/// </summary>
public static class IcmpErrorRules
{
    /// <summary>
    /// True where the error "too big" (fragmentation needed, Packet Too Big) about this packet may be sent; in IPv6 also about one to a multicast
    /// address, which RFC 4443 §2.4 (e.3) excepts.
    /// </summary>
    public static bool MayReportTooBig(in PacketSummary packet) =>
        packet.Version == IpVersion.IPv6
            ? IsSingleIPv6Host(packet.Source) && !IsIcmpV6ErrorOrRedirect(packet)
            : MayReportIPv4(packet);

    // RFC 1122 §3.2.2: not about an ICMP error, a broadcast or multicast, a non-initial fragment, a source that is no single host.
    private static bool MayReportIPv4(in PacketSummary packet) =>
        packet.Version == IpVersion.IPv4 &&
        !packet.IsLaterFragment &&
        IsSingleIPv4Host((uint)packet.Source.Bits) &&
        !IsIPv4MulticastOrBroadcast((uint)packet.Destination.Bits) &&
        !(packet.Protocol == IpProtocol.Icmp && !(packet.PortsKnown && IsIcmpQuery(packet.SourcePort)));

    // Types that ask or answer. All others are errors, or unknown and treated as such: an error about an error never ends.
    // Echo, router discovery, timestamp, information, address mask (RFC 792, 950, 1256), extended echo (RFC 8335).
    private static bool IsIcmpQuery(ushort type) => type is 0 or (>= 8 and <= 10) or (>= 13 and <= 18) or 42 or 43;

    // RFC 1812 §5.3.7, §4.2.2.11: network 0, loopback, multicast, class E and limited broadcast are no source.
    private static bool IsSingleIPv4Host(uint address) => (address >> 24) is not (0 or 127) && address < 0xE000_0000;

    private static bool IsIPv4MulticastOrBroadcast(uint address) => address >> 28 == 0xE || address == uint.MaxValue;

    // RFC 4443 §2.4 (e.6): unspecified and multicast sources; a loopback source never leaves its node (RFC 4291 §2.5.3).
    private static bool IsSingleIPv6Host(InternetAddress address) =>
        address.Version == IpVersion.IPv6 && address.Bits > UInt128.One && !IsIPv6Multicast(address);

    private static bool IsIPv6Multicast(InternetAddress address) => (byte)(address.Bits >> 120) == 0xFF;

    // RFC 4443 §2.4 (e.1), (e.2): types below 128 are errors, 137 is a Redirect. A later fragment does not show its type and may be
    // answered, as in the kernel: an ICMPv6 error is at most 1,280 bytes and not fragmented. A whole message without a type may not.
    private static bool IsIcmpV6ErrorOrRedirect(in PacketSummary packet) =>
        packet.Protocol == IpProtocol.IcmpV6 &&
        !packet.IsLaterFragment &&
        (!packet.PortsKnown || packet.SourcePort < 128 || packet.SourcePort == 137);
}
