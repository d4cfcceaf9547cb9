namespace Espalier.Wire.Offload;

/// <summary>How a super-packet is to be cut: VIRTIO_NET_HDR_GSO_* of linux/virtio_net.h, without the ECN bit.</summary>
public enum GsoType : byte
{
    /// <summary>Not at all: the packet is as it goes on the wire but, perhaps, for its checksum.</summary>
    None = 0,

    /// <summary>TCP over IPv4 (TSO).</summary>
    TcpV4 = 1,

    /// <summary>TCP over IPv6 (TSO).</summary>
    TcpV6 = 4,

    /// <summary>UDP over IPv4 or IPv6, into datagrams of their own (USO); UFO, which would make IP fragments, is 3 and is not taken.</summary>
    UdpL4 = 5,
}
