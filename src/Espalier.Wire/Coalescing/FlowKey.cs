namespace Espalier.Wire.Coalescing;

/// <summary>
/// What makes two packets of one flow: addresses, protocol and ports. Holds the bytes as they stand in the packet, to be compared and nothing else:
/// an IPv4 packet's two addresses are the first word, an IPv6 packet's are all four, in order.
/// </summary>
internal readonly struct FlowKey(
    ulong addresses0, ulong addresses1, ulong addresses2, ulong addresses3, uint ports, byte protocol, bool isIPv4)
{
    private readonly ulong _addresses0 = addresses0, _addresses1 = addresses1, _addresses2 = addresses2, _addresses3 = addresses3;
    private readonly uint _ports = ports;

    /// <summary>TCP or UDP.</summary>
    public readonly byte Protocol = protocol;

    /// <summary>False for IPv6.</summary>
    public readonly bool IsIPv4 = isIPv4;

    /// <summary>Tells most flows apart: ports, and the ends of the addresses.</summary>
    public uint Hash => _ports ^ (uint)(_addresses0 >> 32) ^ (uint)(_addresses1 >> 32) ^ (uint)(_addresses3 >> 32);

    /// <summary>True where both are equal. Compared where they lie: a copy of what was just written would wait for it.</summary>
    public bool Is(in FlowKey other) =>
        _addresses0 == other._addresses0 && _addresses1 == other._addresses1 && _addresses2 == other._addresses2 && _addresses3 == other._addresses3
        && _ports == other._ports && Protocol == other.Protocol && IsIPv4 == other.IsIPv4;
}
