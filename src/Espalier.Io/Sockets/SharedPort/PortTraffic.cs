using System.Buffers.Binary;

namespace Espalier.Io.Sockets.SharedPort;

/// <summary>
/// What arrives on a port of both ESP and IKE (RFC 3948 §2.1 to §2.3), told apart as the kernel does (xfrm4_udp_encap_rcv):
/// <code>
/// keepalive   one byte, 0xFF
/// ESP         more than eight bytes, the first four not all zero
/// IKE         four zero bytes (the non-ESP marker) before it; and whatever else there is
/// </code>
/// </summary>
internal static class PortTraffic
{
    private const int EspHeaderLength = 8;
    private const byte Keepalive = 0xFF;

    /// <summary>True for ESP and keepalives, false for what is the IKE daemon's.</summary>
    internal static bool IsOurs(ReadOnlySpan<byte> payload) =>
        payload.Length > EspHeaderLength ? BinaryPrimitives.ReadUInt32BigEndian(payload) != 0 : payload.Length == 1 && payload[0] == Keepalive;

    /// <summary>
    /// True where an ICMP error's quote is that of an IKE message, or too short to tell: then both sides are told, since neither believes an
    /// error that does not show what it is about.
    /// </summary>
    internal static bool MayBeIke(ReadOnlySpan<byte> quoted) => quoted.Length < sizeof(uint) || BinaryPrimitives.ReadUInt32BigEndian(quoted) == 0;
}
