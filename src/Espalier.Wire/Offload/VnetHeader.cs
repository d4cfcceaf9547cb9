namespace Espalier.Wire.Offload;

/// <summary>
/// What the kernel says of a packet at the border of a TUN with IFF_VNET_HDR, or we to it (struct virtio_net_hdr, here as plain values; its
/// bytes are <c>TunVnetHeader</c>'s matter in Espalier.Io). The default value is a packet as it goes on the wire. Offsets and lengths are in bytes.
/// </summary>
public readonly record struct VnetHeader
{
    /// <summary>
    /// The checksum has to be completed: the field at <see cref="ChecksumStart"/> plus <see cref="ChecksumOffset"/> holds the folded sum of the
    /// pseudo header, not complemented, and the checksum covers everything from <see cref="ChecksumStart"/> on.
    /// </summary>
    public bool NeedsChecksum { get; init; }

    /// <summary>How the packet is to be cut; a value read from a device need not be a named one.</summary>
    public GsoType GsoType { get; init; }

    /// <summary>The ECN bit of the type: TCP has CWR set, which only the first segment may carry (RFC 3168 §6.1.2).</summary>
    public bool Ecn { get; init; }

    /// <summary>Bytes of all headers: a hint, which the kernel may leave 0 or too large and which nothing here relies on.</summary>
    public ushort HeaderLength { get; init; }

    /// <summary>Bytes of payload in each segment but the last.</summary>
    public ushort GsoSize { get; init; }

    /// <summary>Where the checksum begins: the offset of the TCP or UDP header in the packet.</summary>
    public ushort ChecksumStart { get; init; }

    /// <summary>Where the checksum's field stands, counted from <see cref="ChecksumStart"/>.</summary>
    public ushort ChecksumOffset { get; init; }
}
