namespace Espalier.Wire.Segmentation;

/// <summary>Why a super-packet cannot be cut. The kernel makes none of these; one that comes anyway is to be dropped and counted.</summary>
public enum SegmentationRefusal
{
    /// <summary>It can be cut.</summary>
    None = 0,

    /// <summary>The type is none, UFO, or one that we did not offer.</summary>
    UnknownType,

    /// <summary>The segment size is 0.</summary>
    NoSegmentSize,

    /// <summary>The header does not ask for a checksum, as it has to with any type (virtio 1.2 §5.1.6.2), so the pseudo header's sum is not there.</summary>
    NoPartialChecksum,

    /// <summary>The IP header is malformed, cut off or not of the type's version, or the extension headers are.</summary>
    MalformedIp,

    /// <summary>The lengths in the IP or UDP header are not those of the packet that was read.</summary>
    LengthMismatch,

    /// <summary>It is an IP fragment.</summary>
    Fragment,

    /// <summary>The protocol is not that of the type.</summary>
    ProtocolMismatch,

    /// <summary>The checksum does not begin at the TCP or UDP header, or its field is not that header's.</summary>
    ChecksumMisplaced,

    /// <summary>The TCP or UDP header is malformed or cut off.</summary>
    MalformedTransport,

    /// <summary>The headers leave no room for payload in a packet of the given maximum.</summary>
    NoRoom,
}
