namespace Espalier.Wire.Coalescing;

/// <summary>
/// What makes two packets of one flow: addresses, protocol and ports. Holds the bytes as they stand in the packet, to be compared and nothing else:
/// an IPv4 packet's two addresses are <see cref="Addresses0"/>, an IPv6 packet's are all four, in order.
/// </summary>
internal readonly record struct FlowKey(
    ulong Addresses0, ulong Addresses1, ulong Addresses2, ulong Addresses3, uint Ports, byte Protocol, bool IsIPv4)
{
    /// <summary>Tells most flows apart: ports, and the ends of the addresses.</summary>
    public uint Hash => Ports ^ (uint)(Addresses0 >> 32) ^ (uint)(Addresses1 >> 32) ^ (uint)(Addresses3 >> 32);
}
