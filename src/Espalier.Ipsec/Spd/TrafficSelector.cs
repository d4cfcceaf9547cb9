using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Spd;

/// <summary>
/// What decides about an inner packet: its addresses, protocol and ports (RFC 4301 §4.4.1.1).
/// For ICMP the source port is the type and the destination port the code, as in the kernel.
/// </summary>
/// <param name="Source">Inner source address.</param>
/// <param name="Destination">Inner destination address.</param>
/// <param name="Protocol">Upper-layer protocol, after IPv6 extension headers.</param>
/// <param name="SourcePort">Source port in host byte order, or ICMP type; 0 where there is none.</param>
/// <param name="DestinationPort">Destination port in host byte order, or ICMP code; 0 where there is none.</param>
/// <param name="PortsKnown">False for a non-initial fragment, whose ports are OPAQUE (RFC 4301 §7).</param>
public readonly record struct FlowKey(
    InternetAddress Source, InternetAddress Destination, byte Protocol, ushort SourcePort, ushort DestinationPort, bool PortsKnown = true);

/// <summary>
/// A selector (the kernel's xfrm_selector): prefixes, protocol (0 = any) and ports under masks (mask 0 = any).
/// The default value, version None, matches nothing and stands for "no selector" on an SA.
/// </summary>
public readonly record struct TrafficSelector(
    AddressPrefix Source, AddressPrefix Destination, byte Protocol,
    ushort SourcePort, ushort SourcePortMask, ushort DestinationPort, ushort DestinationPortMask)
{
    /// <summary>IP version of both prefixes.</summary>
    public IpVersion Version => Destination.Version;

    /// <summary>True where a port mask is not zero, so that a packet with unknown ports cannot be decided.</summary>
    public bool HasPorts => SourcePortMask != 0 || DestinationPortMask != 0;

    /// <summary>True where addresses and protocol match, ports left aside.</summary>
    public bool MatchesIgnoringPorts(in FlowKey flow) =>
        (Protocol == 0 || Protocol == flow.Protocol) && Destination.Contains(flow.Destination) && Source.Contains(flow.Source);

    /// <summary>True where everything matches; a flow with unknown ports matches only a selector without ports.</summary>
    public bool Matches(in FlowKey flow) =>
        MatchesIgnoringPorts(flow) &&
        (flow.PortsKnown
            ? ((flow.SourcePort ^ SourcePort) & SourcePortMask) == 0 && ((flow.DestinationPort ^ DestinationPort) & DestinationPortMask) == 0
            : !HasPorts);

    /// <summary>True where every flow that matches <paramref name="other"/> matches this one too.</summary>
    public bool Contains(in TrafficSelector other) =>
        (Protocol == 0 || Protocol == other.Protocol)
        && Contains(Source, other.Source) && Contains(Destination, other.Destination)
        && Contains(SourcePort, SourcePortMask, other.SourcePort, other.SourcePortMask)
        && Contains(DestinationPort, DestinationPortMask, other.DestinationPort, other.DestinationPortMask);

    /// <summary>True where some flow can match both this one and <paramref name="other"/>.</summary>
    public bool Overlaps(in TrafficSelector other) =>
        (Protocol == 0 || other.Protocol == 0 || Protocol == other.Protocol)
        && Overlaps(Source, other.Source) && Overlaps(Destination, other.Destination)
        && ((SourcePort ^ other.SourcePort) & SourcePortMask & other.SourcePortMask) == 0
        && ((DestinationPort ^ other.DestinationPort) & DestinationPortMask & other.DestinationPortMask) == 0;

    private static bool Overlaps(AddressPrefix one, AddressPrefix other) =>
        one.Length <= other.Length ? one.Contains(other.Address) : other.Contains(one.Address);

    private static bool Contains(AddressPrefix outer, AddressPrefix inner) => outer.Length <= inner.Length && outer.Contains(inner.Address);

    private static bool Contains(ushort outerPort, ushort outerMask, ushort innerPort, ushort innerMask) =>
        (outerMask & ~innerMask) == 0 && ((outerPort ^ innerPort) & outerMask) == 0;
}
