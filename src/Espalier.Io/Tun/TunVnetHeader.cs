using Espalier.Io.Interop;
using Espalier.Wire.Offload;

namespace Espalier.Io.Tun;

/// <summary>The bytes of a <see cref="VnetHeader"/> at the border of a TUN (struct virtio_net_hdr).</summary>
internal static class TunVnetHeader
{
    internal static VnetHeader Read(in virtio_net_hdr header) => new()
    {
        NeedsChecksum = (header.flags & VirtioNet.VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0,
        GsoType = (GsoType)(header.gso_type & ~VirtioNet.VIRTIO_NET_HDR_GSO_ECN),
        Ecn = (header.gso_type & VirtioNet.VIRTIO_NET_HDR_GSO_ECN) != 0,
        HeaderLength = header.hdr_len,
        GsoSize = header.gso_size,
        ChecksumStart = header.csum_start,
        ChecksumOffset = header.csum_offset,
    };

    internal static virtio_net_hdr Write(in VnetHeader header) => new()
    {
        flags = header.NeedsChecksum ? VirtioNet.VIRTIO_NET_HDR_F_NEEDS_CSUM : (byte)0,
        gso_type = (byte)((byte)header.GsoType | (header.Ecn ? VirtioNet.VIRTIO_NET_HDR_GSO_ECN : 0)),
        hdr_len = header.HeaderLength,
        gso_size = header.GsoSize,
        csum_start = header.ChecksumStart,
        csum_offset = header.ChecksumOffset,
    };
}
