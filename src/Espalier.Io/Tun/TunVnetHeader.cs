using System.Runtime.InteropServices;
using Espalier.Io.Interop;
using Espalier.Wire.Offload;

namespace Espalier.Io.Tun;

/// <summary>
/// The bytes that stand before each packet of a TUN with IFF_VNET_HDR, both ways, as <see cref="VnetHeader"/>:
/// <code>
/// | flags, 1 | type, 1 | header length, 2 | segment size, 2 | checksum start, 2 | checksum offset, 2 |   machine's byte order
/// </code>
/// </summary>
public static class TunVnetHeader
{
    /// <summary>Bytes of the header.</summary>
    public const int Length = 10;

    /// <summary>Reads the header at the start of <paramref name="buffer"/>; false where that is too short.</summary>
    public static bool TryRead(ReadOnlySpan<byte> buffer, out VnetHeader header)
    {
        header = default;
        if (!MemoryMarshal.TryRead<virtio_net_hdr>(buffer, out var raw))
        {
            return false;
        }

        header = new VnetHeader
        {
            NeedsChecksum = (raw.flags & VirtioNet.VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0,
            GsoType = (GsoType)(raw.gso_type & ~VirtioNet.VIRTIO_NET_HDR_GSO_ECN),
            Ecn = (raw.gso_type & VirtioNet.VIRTIO_NET_HDR_GSO_ECN) != 0,
            HeaderLength = raw.hdr_len,
            GsoSize = raw.gso_size,
            ChecksumStart = raw.csum_start,
            ChecksumOffset = raw.csum_offset,
        };
        return true;
    }

    /// <summary>Writes the header to the start of <paramref name="buffer"/>, which has room for it.</summary>
    public static void Write(Span<byte> buffer, in VnetHeader header)
    {
        var raw = new virtio_net_hdr
        {
            flags = header.NeedsChecksum ? VirtioNet.VIRTIO_NET_HDR_F_NEEDS_CSUM : (byte)0,
            gso_type = (byte)((byte)header.GsoType | (header.Ecn ? VirtioNet.VIRTIO_NET_HDR_GSO_ECN : 0)),
            hdr_len = header.HeaderLength,
            gso_size = header.GsoSize,
            csum_start = header.ChecksumStart,
            csum_offset = header.ChecksumOffset,
        };
        MemoryMarshal.Write(buffer, raw);
    }
}
