using Espalier.Wire.Addresses;

namespace Espalier.DataPlane;

/// <summary>Sizes and ports of the data plane.</summary>
public sealed record DataPlaneOptions
{
    /// <summary>Slots of a batch.</summary>
    public int BatchSlots { get; init; } = 64;

    /// <summary>Bytes of a slot: a jumbo packet of 9,000 bytes with headroom, TFC padding and ICV.</summary>
    public int SlotSize { get; init; } = 10_240;

    /// <summary>Bytes before a received packet: UDP and ESP header, IV, and room for a vnet header.</summary>
    public int Headroom { get; init; } = 128;

    /// <summary>Batches in the pool: one for each worker and one for fragments, and one to spare.</summary>
    public int Batches { get; init; } = 4;

    /// <summary>UDP ports that are opened at start and stay open.</summary>
    public IReadOnlyList<ushort> EncapsulationPorts { get; init; } = [4500];

    /// <summary>IP versions for which <see cref="EncapsulationPorts"/> are opened.</summary>
    public IReadOnlyList<IpVersion> Versions { get; init; } = [IpVersion.IPv4, IpVersion.IPv6];

    /// <summary>Outer path MTU of an SA whose <c>PathMtu</c> is 0.</summary>
    public int DefaultPathMtu { get; init; } = 1500;
}
