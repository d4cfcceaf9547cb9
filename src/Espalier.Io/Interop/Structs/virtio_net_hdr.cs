using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct virtio_net_hdr (linux/virtio_net.h), which stands before each packet of a TUN with IFF_VNET_HDR; in the machine's byte order there.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct virtio_net_hdr
{
    public byte flags;
    public byte gso_type;
    public ushort hdr_len;
    public ushort gso_size;
    public ushort csum_start;
    public ushort csum_offset;
}
