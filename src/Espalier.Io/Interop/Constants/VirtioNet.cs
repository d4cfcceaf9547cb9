namespace Espalier.Io.Interop;

/// <summary>Constants of linux/virtio_net.h.</summary>
internal static class VirtioNet
{
    /// <summary>Flag: the checksum is to be completed.</summary>
    internal const byte VIRTIO_NET_HDR_F_NEEDS_CSUM = 1;

    /// <summary>Bit beside the type: TCP has CWR set.</summary>
    internal const byte VIRTIO_NET_HDR_GSO_ECN = 0x80;
}
