namespace Espalier.Wire.Coalescing;

/// <summary>
/// What makes two packets of one flow: addresses, protocol and ports. Holds the bytes as they stand in the packet, to be compared and nothing else;
/// an IPv4 packet's two addresses are both in <see cref="Source"/>.
/// </summary>
internal readonly record struct FlowKey(UInt128 Source, UInt128 Destination, uint Ports, byte Protocol, bool IsIPv4);
