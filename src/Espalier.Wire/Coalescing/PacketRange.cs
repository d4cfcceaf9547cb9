namespace Espalier.Wire.Coalescing;

/// <summary>A piece of the caller's buffer: a packet, or the payload of one. In bytes.</summary>
public readonly record struct PacketRange(int Offset, int Length);
