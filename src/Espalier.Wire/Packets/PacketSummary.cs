using Espalier.Wire.Addresses;

namespace Espalier.Wire.Packets;

/// <summary>
/// What the data plane needs to know of an inner packet, read once by <see cref="InnerPacketParser.TryParse"/>.
/// Numbers are in host byte order.
/// </summary>
public struct PacketSummary
{
    /// <summary>Source address.</summary>
    public InternetAddress Source;

    /// <summary>Destination address.</summary>
    public InternetAddress Destination;

    /// <summary>Identification of a fragment: 16 bits in IPv4 (set in every packet), 32 bits in IPv6 (0 without Fragment header).</summary>
    public uint FragmentId;

    /// <summary>Bytes of the packet as its header says: at most the buffer's length.</summary>
    public int TotalLength;

    /// <summary>Bytes before the next layer header: the IP header with its options or extension headers.</summary>
    public int HeaderLength;

    /// <summary>Source port; ICMP and ICMPv6 type; Mobility Header type; high half of a GRE key; else 0.</summary>
    public ushort SourcePort;

    /// <summary>Destination port; ICMP and ICMPv6 code; low half of a GRE key; else 0.</summary>
    public ushort DestinationPort;

    /// <summary>IPv4 or IPv6.</summary>
    public IpVersion Version;

    /// <summary>Next layer protocol, behind IPv6 extension headers.</summary>
    public byte Protocol;

    /// <summary>DSCP and ECN.</summary>
    public byte TrafficClass;

    /// <summary>Time to Live or Hop Limit.</summary>
    public byte TimeToLive;

    /// <summary>IPv4: the DF flag. IPv6: always true, since no router fragments it (RFC 8200 §4.5).</summary>
    public bool DontFragment;

    /// <summary>True for a piece of a larger packet, the first included; false for an atomic IPv6 fragment.</summary>
    public bool IsFragment;

    /// <summary>True for the piece at offset 0 of a fragmented packet.</summary>
    public bool IsFirstFragment;

    /// <summary>
    /// False in a non-initial fragment, and where the packet (or first fragment) ends before the ports that its protocol has, or a fragment that overlaps
    /// could bring others. True for a protocol without ports.
    /// </summary>
    public bool PortsKnown;

    /// <summary>False in a non-initial IPv6 fragment whose Fragment header names a further extension header (RFC 4301 §7: OPAQUE).</summary>
    public bool ProtocolKnown;

    /// <summary>True for a piece that is not the first.</summary>
    public readonly bool IsLaterFragment => IsFragment && !IsFirstFragment;
}
