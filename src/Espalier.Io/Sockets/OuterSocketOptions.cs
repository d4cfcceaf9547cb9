using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>How an outer socket is to be opened.</summary>
public sealed record OuterSocketOptions
{
    /// <summary>IPv4 or IPv6; an IPv6 socket takes no IPv4 (IPV6_V6ONLY).</summary>
    public IpVersion Version { get; init; } = IpVersion.IPv4;

    /// <summary>Address to bind to; the default is all of the host's.</summary>
    public InternetAddress BindAddress { get; init; }

    /// <summary>UDP port to bind; 0 lets the kernel choose. Not used by raw sockets.</summary>
    public ushort Port { get; init; }

    /// <summary>
    /// Name of an interface: a UDP socket then receives only what arrives there, shares its port with sockets that have SO_REUSEADDR, and comes before those
    /// of them that are bound to no interface. Null: of all interfaces, and the port's only owner.
    /// </summary>
    public string? Interface { get; init; }

    /// <summary>
    /// With <see cref="Interface"/>: one of several sockets for the same, over which the kernel spreads peers by their address and port (SO_REUSEPORT). A process
    /// of the same user can then take a share of what arrives there.
    /// </summary>
    public bool InGroup { get; init; }

    /// <summary>
    /// A socket that sends by any interface and receives nothing. A UDP socket shares its port; a raw one reports what this host says of its packets, and
    /// leaves ICMP errors to the one that receives.
    /// </summary>
    public bool SendOnly { get; init; }

    /// <summary>Take datagrams of one size from one peer from the kernel as one (UDP_GRO), where it offers that. Not used by raw sockets.</summary>
    public bool ReceiveOffload { get; init; }

    /// <summary>Firewall mark of every packet (SO_MARK), 0 = none.</summary>
    public uint Mark { get; init; }

    /// <summary>Bytes of receive queue to ask for; the kernel counts its own overhead beside them.</summary>
    public int ReceiveBuffer { get; init; } = 4 * 1024 * 1024;

    /// <summary>Bytes of send queue to ask for.</summary>
    public int SendBuffer { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// Let the kernel cut messages into datagrams (UDP_SEGMENT), where packets of one size go to one peer. The kernel asks for a UDP checksum then, so
    /// datagrams have one; without, they have none in IPv4 (RFC 3948 §2.1). Not used by raw sockets.
    /// </summary>
    public bool Segmentation { get; init; } = true;
}
