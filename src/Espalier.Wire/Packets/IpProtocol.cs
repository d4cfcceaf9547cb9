namespace Espalier.Wire.Packets;

/// <summary>Protocol and Next Header numbers (IANA "Assigned Internet Protocol Numbers") that the data plane tells apart.</summary>
public static class IpProtocol
{
    /// <summary>IPv6 Hop-by-Hop Options (RFC 8200 §4.3).</summary>
    public const byte HopByHopOptions = 0;

    /// <summary>ICMP (RFC 792).</summary>
    public const byte Icmp = 1;

    /// <summary>IPv4 encapsulated: the next header of ESP in tunnel mode.</summary>
    public const byte IPv4 = 4;

    /// <summary>TCP (RFC 9293).</summary>
    public const byte Tcp = 6;

    /// <summary>UDP (RFC 768).</summary>
    public const byte Udp = 17;

    /// <summary>DCCP (RFC 4340).</summary>
    public const byte Dccp = 33;

    /// <summary>IPv6 encapsulated: the next header of ESP in tunnel mode.</summary>
    public const byte IPv6 = 41;

    /// <summary>IPv6 Routing header (RFC 8200 §4.4).</summary>
    public const byte Routing = 43;

    /// <summary>IPv6 Fragment header (RFC 8200 §4.5).</summary>
    public const byte Fragment = 44;

    /// <summary>GRE (RFC 2784, 2890).</summary>
    public const byte Gre = 47;

    /// <summary>ESP (RFC 4303).</summary>
    public const byte Esp = 50;

    /// <summary>AH (RFC 4302). A next layer protocol to IPsec, not an extension header to skip (RFC 4301 §4.4.1.1).</summary>
    public const byte Ah = 51;

    /// <summary>ICMPv6 (RFC 4443).</summary>
    public const byte IcmpV6 = 58;

    /// <summary>No Next Header (RFC 8200 §4.7); in ESP a dummy packet (RFC 4303 §2.6).</summary>
    public const byte NoNextHeader = 59;

    /// <summary>IPv6 Destination Options (RFC 8200 §4.6).</summary>
    public const byte DestinationOptions = 60;

    /// <summary>SCTP (RFC 9260).</summary>
    public const byte Sctp = 132;

    /// <summary>Mobility Header (RFC 6275 §6.1).</summary>
    public const byte MobilityHeader = 135;

    /// <summary>UDP-Lite (RFC 3828).</summary>
    public const byte UdpLite = 136;

    /// <summary>
    /// True for the IPv6 extension headers that stand between the IPv6 header and the next layer protocol.
    /// RFC 4301 §4.4.1.1: 0, 43, 44 and 60 are skipped; AH and ESP are next layer protocols.
    /// </summary>
    public static bool IsSkippedExtensionHeader(byte nextHeader) =>
        nextHeader is HopByHopOptions or Routing or Fragment or DestinationOptions;
}
