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

    /// <summary>Batches in the pool: one for the outbound worker and one for fragments, and one to spare.</summary>
    public int Batches { get; init; } = 3;

    /// <summary>Slots of the batch into which outer sockets are read. A super-packet takes one, and a small datagram too.</summary>
    public int ReceiveSlots { get; init; } = 16;

    /// <summary>Bytes of such a slot, beside the headroom: the largest that UDP_GRO makes, and the largest datagram.</summary>
    public int ReceiveSlotSize { get; init; } = 65_536;

    /// <summary>Datagrams in a super-packet at most: what a sender on this host may join (UDP_MAX_SEGMENTS of Linux 6.9); the kernel's GRO joins 64.</summary>
    public int PacketsPerReceiveSlot { get; init; } = 128;

    /// <summary>UDP ports that are opened at start and stay open.</summary>
    public IReadOnlyList<ushort> EncapsulationPorts { get; init; } = [4500];

    /// <summary>IP versions for which <see cref="EncapsulationPorts"/> are opened.</summary>
    public IReadOnlyList<IpVersion> Versions { get; init; } = [IpVersion.IPv4, IpVersion.IPv6];

    /// <summary>Several outbound workers seal packets of one SA at once; without effect where there is one.</summary>
    public bool Spread { get; init; }

    /// <summary>Outer path MTU of an SA whose <c>PathMtu</c> is 0.</summary>
    public int DefaultPathMtu { get; init; } = 1500;
}
