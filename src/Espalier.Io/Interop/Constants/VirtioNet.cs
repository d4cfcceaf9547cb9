namespace Espalier.Io.Interop;

/// <summary>Constants of linux/virtio_net.h; the types without the ECN bit are <c>GsoType</c> of Espalier.Wire.</summary>
internal static class VirtioNet
{
    internal const byte VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;

    internal const byte VIRTIO_NET_HDR_GSO_NONE = 0;
    internal const byte VIRTIO_NET_HDR_GSO_TCPV4 = 1;
    internal const byte VIRTIO_NET_HDR_GSO_TCPV6 = 4;
    internal const byte VIRTIO_NET_HDR_GSO_UDP_L4 = 5;
    internal const byte VIRTIO_NET_HDR_GSO_ECN = 0x80;
}
