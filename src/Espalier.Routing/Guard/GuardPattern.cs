using System.Globalization;
using System.Text;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Routing.Guard;

/// <summary>What of the upper layer a pattern looks at.</summary>
internal enum GuardUpperLayer : byte
{
    /// <summary>Nothing.</summary>
    Any,

    /// <summary>The protocol.</summary>
    Protocol,

    /// <summary>The protocol and ports.</summary>
    Ports,

    /// <summary>Type and code of ICMP or ICMPv6.</summary>
    Icmp,

    /// <summary>Type of the mobility header (RFC 6275 §6.1).</summary>
    Mobility,
}

/// <summary>
/// The shape of a selector: which bits of a packet decide. Selectors of one shape are equal or disjoint, so that they fit one hash set of nftables:
/// the packet's fields, masked, are looked up in it. So overlapping selectors never meet in one set, and a set of any size costs one probe.
/// </summary>
internal readonly record struct GuardPattern(
    IpVersion Version, int SourceLength, int DestinationLength, GuardUpperLayer Upper, ushort SourceMask, ushort DestinationMask)
{
    /// <summary>True where no bit decides: no set is needed.</summary>
    internal bool MatchesAll => SourceLength == 0 && DestinationLength == 0 && Upper == GuardUpperLayer.Any;

    /// <summary>A name, unique among patterns of one version.</summary>
    internal string Name => string.Create(
        CultureInfo.InvariantCulture, $"{SourceLength}_{DestinationLength}_{(int)Upper}_{SourceMask:x}_{DestinationMask:x}");

    private string Family => Version == IpVersion.IPv4 ? "ip" : "ip6";

    private string Icmp => Version == IpVersion.IPv4 ? "icmp" : "icmpv6";

    /// <summary>The type of the set in nft's words.</summary>
    internal string SetType => Join(" . ", static (part, _) => part.Type);

    /// <summary>What is looked up in the set.</summary>
    internal string Expression => Join(" . ", static (part, _) => part.Expression);

    /// <summary>The element of a selector of this shape.</summary>
    internal string Element(in TrafficSelector selector, byte protocol)
    {
        return Join(" . ", static (part, of) => part.Value(of.Selector, of.Protocol), (selector, protocol));
    }

    private string Join(string separator, Func<Field, (TrafficSelector Selector, byte Protocol), string> part, (TrafficSelector, byte) values = default)
    {
        var text = new StringBuilder();
        foreach (var packetField in Fields())
        {
            text.Append(text.Length == 0 ? "" : separator).Append(part(packetField, values));
        }

        return text.ToString();
    }

    private IEnumerable<Field> Fields()
    {
        string addressType = Version == IpVersion.IPv4 ? "ipv4_addr" : "ipv6_addr";
        if (SourceLength > 0)
        {
            yield return new Field(addressType, Masked($"{Family} saddr", SourceLength), static (selector, _) => selector.Source.Canonical.Address.ToString());
        }

        if (DestinationLength > 0)
        {
            yield return new Field(addressType, Masked($"{Family} daddr", DestinationLength), static (selector, _) => selector.Destination.Canonical.Address.ToString());
        }

        if (Upper is GuardUpperLayer.Protocol or GuardUpperLayer.Ports)
        {
            yield return new Field("inet_proto", "meta l4proto", static (_, protocol) => Number(protocol));
        }

        var (typeField, sourceField, destinationField) = Upper switch
        {
            GuardUpperLayer.Ports => ("inet_service", "th sport", "th dport"),
            GuardUpperLayer.Icmp => ($"{Icmp}_type", $"{Icmp} type", $"{Icmp} code"),
            GuardUpperLayer.Mobility => ("mh_type", "mh type", ""),
            _ => ("", "", ""),
        };
        int full = Upper == GuardUpperLayer.Ports ? 0xffff : 0xff;
        ushort sourceMask = SourceMask, destinationMask = DestinationMask;
        if (sourceMask != 0)
        {
            yield return new Field(typeField, Masked(sourceField, sourceMask, full), (selector, _) => Number(selector.SourcePort & sourceMask));
        }

        if (destinationMask != 0)
        {
            string type = Upper == GuardUpperLayer.Icmp ? $"{Icmp}_code" : typeField;
            yield return new Field(type, Masked(destinationField, destinationMask, full), (selector, _) => Number(selector.DestinationPort & destinationMask));
        }
    }

    private string Masked(string field, int length) =>
        length == InternetAddress.BitLengthOf(Version)
            ? field
            : $"({field} & {new InternetAddress(Version, InternetAddress.MaskOf(Version, length))})";

    private static string Masked(string field, int mask, int full) =>
        mask == full ? field : string.Create(CultureInfo.InvariantCulture, $"({field} & {mask})");

    private static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);

    private readonly record struct Field(string Type, string Expression, Func<TrafficSelector, byte, string> Value);
}

/// <summary>One shape and one element of it: the packets of a selector, or a part of them.</summary>
internal readonly record struct GuardMatch(GuardPattern Pattern, string Element)
{
    // The protocols whose ports a selector without protocol compares; ICMP's type and code count as ports too.
    private static readonly byte[] PortProtocols = [IpProtocol.Tcp, IpProtocol.Udp, IpProtocol.UdpLite, IpProtocol.Sctp, IpProtocol.Dccp];

    /// <summary>
    /// The matches that together stand for a selector. Empty where no packet can match, and where nftables cannot tell: keys of GRE.
    /// </summary>
    internal static IReadOnlyList<GuardMatch> Of(in TrafficSelector selector)
    {
        byte icmp = selector.Version == IpVersion.IPv4 ? IpProtocol.Icmp : IpProtocol.IcmpV6;
        if (!selector.HasPorts)
        {
            return [Make(selector, selector.Protocol == 0 ? GuardUpperLayer.Any : GuardUpperLayer.Protocol, selector.Protocol, 0, 0)];
        }

        if (selector.Protocol == 0)
        {
            List<GuardMatch> matches = [];
            foreach (byte protocol in PortProtocols)
            {
                matches.Add(Make(selector, GuardUpperLayer.Ports, protocol, selector.SourcePortMask, selector.DestinationPortMask));
            }

            AddTypeAndCode(matches, selector, icmp, GuardUpperLayer.Icmp);
            return matches;
        }

        if (PortProtocols.AsSpan().Contains(selector.Protocol))
        {
            return [Make(selector, GuardUpperLayer.Ports, selector.Protocol, selector.SourcePortMask, selector.DestinationPortMask)];
        }

        List<GuardMatch> one = [];
        if (selector.Protocol == icmp)
        {
            AddTypeAndCode(one, selector, icmp, GuardUpperLayer.Icmp);
        }
        else if (selector.Protocol == IpProtocol.MobilityHeader && selector.Version == IpVersion.IPv6)
        {
            AddTypeAndCode(one, selector, IpProtocol.MobilityHeader, GuardUpperLayer.Mobility);
        }
        else if (selector.Protocol != IpProtocol.Gre && (selector.SourcePort & selector.SourcePortMask) == 0 && (selector.DestinationPort & selector.DestinationPortMask) == 0)
        {
            // Other protocols have no ports: they count as 0.
            one.Add(Make(selector, GuardUpperLayer.Protocol, selector.Protocol, 0, 0));
        }

        return one;
    }

    /// <summary>Type and code are bytes: a selector whose mask asks for more than a byte can match no packet.</summary>
    private static void AddTypeAndCode(List<GuardMatch> matches, in TrafficSelector selector, byte protocol, GuardUpperLayer upper)
    {
        int codeBits = upper == GuardUpperLayer.Mobility ? 0 : 0xff;
        if ((selector.SourcePort & selector.SourcePortMask & ~0xff) == 0 && (selector.DestinationPort & selector.DestinationPortMask & ~codeBits) == 0)
        {
            ushort sourceMask = (ushort)(selector.SourcePortMask & 0xff), destinationMask = (ushort)(selector.DestinationPortMask & codeBits);
            matches.Add(Make(
                selector, (sourceMask | destinationMask) == 0 ? GuardUpperLayer.Protocol : upper, protocol, sourceMask, destinationMask));
        }
    }

    private static GuardMatch Make(in TrafficSelector selector, GuardUpperLayer upper, byte protocol, ushort sourceMask, ushort destinationMask)
    {
        var pattern = new GuardPattern(selector.Version, selector.Source.Length, selector.Destination.Length, upper, sourceMask, destinationMask);
        return new GuardMatch(pattern, pattern.Element(selector, protocol));
    }
}
