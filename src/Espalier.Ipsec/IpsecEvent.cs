using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec;

/// <summary>What a worker tells the control thread.</summary>
public enum IpsecEventKind : byte
{
    /// <summary>A policy needs an SA: <see cref="IpsecEvent.Policy"/> and <see cref="IpsecEvent.Flow"/>.</summary>
    Acquire,

    /// <summary>The SA met a soft limit of bytes or packets.</summary>
    SoftExpired,

    /// <summary>The SA met a hard limit of bytes or packets.</summary>
    HardExpired,

    /// <summary>The peer's address or port changed: <see cref="IpsecEvent.PeerAddress"/>, <see cref="IpsecEvent.PeerPort"/>.</summary>
    Mapping,

    /// <summary>An ICMP error that quotes the SA's SPI gave a path MTU: <see cref="IpsecEvent.PathMtu"/>.</summary>
    PathMtu,

    /// <summary>A policy met a soft or hard limit of bytes or packets (the kernel has no such limits in effect on packets; times only).</summary>
    PolicyExpired,
}

/// <summary>One event; a value, so that posting it allocates nothing.</summary>
public readonly record struct IpsecEvent(
    IpsecEventKind Kind, SecurityAssociation? Association, SecurityPolicy? Policy, FlowKey Flow,
    InternetAddress PeerAddress, ushort PeerPort, int PathMtu);
