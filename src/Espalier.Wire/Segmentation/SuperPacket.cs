using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Offload;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Segmentation;

/// <summary>Where the headers of a super-packet stand, found and checked against its vnet header once.</summary>
internal struct SuperPacket
{
    private const int TcpChecksumOffset = 16;
    private const int UdpChecksumOffset = 6;

    /// <summary>True for TCP, false for UDP.</summary>
    public bool IsTcp;

    /// <summary>True for IPv4, false for IPv6.</summary>
    public bool IsIPv4;

    /// <summary>Offset of the TCP or UDP header: bytes of the IP header with its options or extension headers.</summary>
    public int TransportOffset;

    /// <summary>Offset of the payload: bytes of all headers.</summary>
    public int HeaderLength;

    /// <summary>
    /// Checks a super-packet. After <see cref="SegmentationRefusal.None"/> all headers are whole and belong together, and the packet's length is
    /// what its headers say, at most 65,535 bytes (IPv4) or 65,575 (IPv6).
    /// </summary>
    public static SegmentationRefusal TryParse(ReadOnlySpan<byte> packet, in VnetHeader header, out SuperPacket super)
    {
        super = default;
        super.IsTcp = header.GsoType is GsoType.TcpV4 or GsoType.TcpV6;
        if (!super.IsTcp && header.GsoType != GsoType.UdpL4)
        {
            return SegmentationRefusal.UnknownType;
        }

        if (header.GsoSize == 0)
        {
            return SegmentationRefusal.NoSegmentSize;
        }

        if (!header.NeedsChecksum)
        {
            return SegmentationRefusal.NoPartialChecksum;
        }

        if (!InnerPacketParser.TryParse(packet, out var summary))
        {
            return SegmentationRefusal.MalformedIp;
        }

        super.IsIPv4 = summary.Version == IpVersion.IPv4;
        super.TransportOffset = summary.HeaderLength;
        var refusal = CheckNetwork(packet, header, summary);
        return refusal == SegmentationRefusal.None ? super.CheckTransport(packet[super.TransportOffset..], header) : refusal;
    }

    private static SegmentationRefusal CheckNetwork(ReadOnlySpan<byte> packet, in VnetHeader header, in PacketSummary summary)
    {
        var other = summary.Version == IpVersion.IPv4 ? GsoType.TcpV6 : GsoType.TcpV4;
        if (header.GsoType == other)
        {
            return SegmentationRefusal.MalformedIp;
        }

        if (summary.TotalLength != packet.Length)
        {
            return SegmentationRefusal.LengthMismatch;
        }

        if (summary.IsFragment)
        {
            return SegmentationRefusal.Fragment;
        }

        byte protocol = header.GsoType == GsoType.UdpL4 ? IpProtocol.Udp : IpProtocol.Tcp;
        return summary.Protocol == protocol ? SegmentationRefusal.None : SegmentationRefusal.ProtocolMismatch;
    }

    private SegmentationRefusal CheckTransport(ReadOnlySpan<byte> transport, in VnetHeader header)
    {
        if (header.ChecksumStart != TransportOffset || header.ChecksumOffset != (IsTcp ? TcpChecksumOffset : UdpChecksumOffset))
        {
            return SegmentationRefusal.ChecksumMisplaced;
        }

        if (IsTcp)
        {
            if (!TcpSegment.TryParse(transport, out var segment))
            {
                return SegmentationRefusal.MalformedTransport;
            }

            HeaderLength = TransportOffset + segment.HeaderLength;
            return SegmentationRefusal.None;
        }

        if (transport.Length < UdpDatagram.HeaderLength)
        {
            return SegmentationRefusal.MalformedTransport;
        }

        HeaderLength = TransportOffset + UdpDatagram.HeaderLength;
        return BinaryPrimitives.ReadUInt16BigEndian(transport[4..]) == transport.Length ? SegmentationRefusal.None : SegmentationRefusal.LengthMismatch;
    }
}
