using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

/// <summary>Type of a route; values are the kernel's RTN_*.</summary>
public enum RouteType : byte
{
    /// <summary>None: a filter that takes all.</summary>
    Unspecified = 0,

    /// <summary>To a gateway or a link.</summary>
    Unicast = 1,

    /// <summary>Delivered on this host.</summary>
    Local = 2,

    /// <summary>Delivered on this host and sent as broadcast.</summary>
    Broadcast = 3,

    /// <summary>IPv6 anycast addresses of this host.</summary>
    Anycast = 4,

    /// <summary>Multicast.</summary>
    Multicast = 5,

    /// <summary>Dropped quietly.</summary>
    Blackhole = 6,

    /// <summary>Refused: no route to host.</summary>
    Unreachable = 7,

    /// <summary>Refused: prohibited.</summary>
    Prohibit = 8,

    /// <summary>As if the table had no route: the next rule decides.</summary>
    Throw = 9,
}

/// <summary>
/// A route. <see cref="PreferredSource"/> and <see cref="Gateway"/> are the default value where there is none, <see cref="OutputInterface"/>,
/// <see cref="Metric"/> and <see cref="Mtu"/> 0. A smaller metric wins among routes of one prefix.
/// </summary>
public readonly record struct RouteEntry(AddressPrefix Destination, uint Table)
{
    /// <summary>Who made it (RTPROT_*).</summary>
    public byte Protocol { get; init; }

    /// <summary>What it does.</summary>
    public RouteType Type { get; init; } = RouteType.Unicast;

    /// <summary>Index of the interface.</summary>
    public uint OutputInterface { get; init; }

    /// <summary>Next hop.</summary>
    public InternetAddress Gateway { get; init; }

    /// <summary>Source address for packets that have none yet.</summary>
    public InternetAddress PreferredSource { get; init; }

    /// <summary>RTA_PRIORITY.</summary>
    public uint Metric { get; init; }

    /// <summary>RTAX_MTU.</summary>
    public int Mtu { get; init; }

    /// <summary>RTAX_HOPLIMIT: hop limit of packets that this host sends this way; 0 = the default.</summary>
    public int HopLimit { get; init; }

    /// <summary>RT_SCOPE_*: link for a route that names an interface only.</summary>
    public byte Scope { get; init; }
}
