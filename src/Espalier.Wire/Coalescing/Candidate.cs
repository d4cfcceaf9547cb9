using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Wire.Checksums;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Coalescing;

/// <summary>What the coalescer needs to know of a packet, read once. Only packets of TCP and UDP are looked at closely.</summary>
internal struct Candidate
{
    private const byte TcpMustBeAlone = TcpFlags.Syn | TcpFlags.Rst | TcpFlags.Urg | TcpFlags.Cwr;

    /// <summary>The flow, where <see cref="HasFlow"/>.</summary>
    public FlowKey Flow;

    /// <summary>True for a whole packet of TCP or UDP that has its ports.</summary>
    public bool HasFlow;

    /// <summary>True for a piece of a packet of any protocol.</summary>
    public bool IsFragment;

    /// <summary>True where the packet may be joined to others as far as it alone tells.</summary>
    public bool MayJoin;

    /// <summary>True where nothing may be joined to it: TCP with PSH or FIN (RFC 9293 §3.9.1: deliver promptly; the end).</summary>
    public bool EndsRun;

    /// <summary>Offset of the TCP or UDP header.</summary>
    public int TransportOffset;

    /// <summary>Offset of the payload.</summary>
    public int HeaderLength;

    /// <summary>Bytes of the packet.</summary>
    public int Length;

    /// <summary>Bytes of payload.</summary>
    public readonly int PayloadLength => Length - HeaderLength;

    /// <summary>True for TCP, false for UDP, where <see cref="HasFlow"/>.</summary>
    public readonly bool IsTcp => Flow.Protocol == IpProtocol.Tcp;

    /// <summary>Reads a packet; any bytes will do.</summary>
    public void Read(ReadOnlySpan<byte> packet)
    {
        this = default;
        Length = packet.Length;
        bool isEligible;
        byte protocol;
        int end;
        if (IPv4Packet.TryParse(packet, out var v4))
        {
            IsFragment = v4.IsFragment;
            TransportOffset = v4.HeaderLength;
            protocol = v4.Protocol;
            end = v4.TotalLength;

            // inet_gro_receive: no options, no flag but DF, no padding behind the packet, a right header checksum.
            isEligible = packet[0] == 0x45 && (packet[6] & 0xBF | packet[7]) == 0 && end == packet.Length && v4.HasValidChecksum;
        }
        else if (IPv6Packet.TryParse(packet, out var v6) && IPv6HeaderChain.TryWalk(v6.NextHeader, v6.Payload, out var chain))
        {
            IsFragment = chain.IsFragment;
            TransportOffset = IPv6Packet.FixedHeaderLength + chain.Length;
            protocol = chain.Protocol;
            end = v6.TotalLength;

            // ipv6_gro_receive: extension headers may be there, but no Fragment header.
            isEligible = !chain.HasFragmentHeader && end == packet.Length;
        }
        else
        {
            return;
        }

        ReadTransport(packet[..end], protocol, isEligible);
    }

    /// <summary>
    /// True where the TCP or UDP checksum is right. The destination is that of the IP header: with a Routing header that has segments left the sum
    /// is wrong by that, and the packet goes on alone.
    /// </summary>
    public readonly bool HasValidChecksum(ReadOnlySpan<byte> packet)
    {
        // The addresses are the end of the IP header, so without extension headers they and the segment are one piece.
        int addresses = AddressOffset(Flow.IsIPv4);
        int end = addresses + AddressLength(Flow.IsIPv4);
        ulong sum = PseudoHeaderWords(packet.Length - TransportOffset);
        sum = end == TransportOffset
            ? InternetChecksum.Sum(packet[addresses..], sum)
            : InternetChecksum.Sum(packet[TransportOffset..], InternetChecksum.Sum(packet[addresses..end], sum));
        return InternetChecksum.Fold(sum) == 0xFFFF;
    }

    /// <summary>The folded sum of the pseudo header for a segment of this length, as a checksum field holds it for a device to complete.</summary>
    public readonly ushort PartialChecksum(ReadOnlySpan<byte> packet, int transportLength) =>
        InternetChecksum.Fold(
            InternetChecksum.Sum(packet.Slice(AddressOffset(Flow.IsIPv4), AddressLength(Flow.IsIPv4)), PseudoHeaderWords(transportLength)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly ulong PseudoHeaderWords(int transportLength) =>
        InternetChecksum.Word((ushort)transportLength) + InternetChecksum.Word(Flow.Protocol);

    private static int AddressOffset(bool isIPv4) => isIPv4 ? 12 : 8;

    private static int AddressLength(bool isIPv4) => isIPv4 ? 8 : 32;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void ReadTransport(ReadOnlySpan<byte> packet, byte protocol, bool isEligible)
    {
        var transport = packet[TransportOffset..];
        if (IsFragment || protocol is not (IpProtocol.Tcp or IpProtocol.Udp) || transport.Length < sizeof(uint))
        {
            return;
        }

        bool isIPv4 = packet[0] >> 4 == 4;
        var addresses = MemoryMarshal.Cast<byte, ulong>(packet.Slice(AddressOffset(isIPv4), AddressLength(isIPv4)));
        uint ports = MemoryMarshal.Read<uint>(transport);
        HasFlow = true;
        if (isIPv4)
        {
            Flow = new FlowKey(addresses[0], 0, 0, 0, ports, protocol, isIPv4: true);
        }
        else
        {
            Flow = new FlowKey(addresses[0], addresses[1], addresses[2], addresses[3], ports, protocol, isIPv4: false);
        }

        if (!isEligible)
        {
            return;
        }

        if (protocol == IpProtocol.Tcp)
        {
            ReadTcp(transport);
        }
        else if (UdpDatagram.TryParse(transport, out var datagram))
        {
            // udp_gro_receive_segment: a checksum has to be there, and the length is that of the packet.
            HeaderLength = TransportOffset + UdpDatagram.HeaderLength;
            MayJoin = datagram.Checksum != 0 && datagram.Length == transport.Length && datagram.Length > UdpDatagram.HeaderLength;
        }
    }

    // tcp_gro_receive: SYN, RST and URG go on alone, so does what carries no data. So does CWR, which only the first segment of a super-packet can have.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void ReadTcp(ReadOnlySpan<byte> transport)
    {
        if (TcpSegment.TryParse(transport, out var segment))
        {
            HeaderLength = TransportOffset + segment.HeaderLength;
            MayJoin = HeaderLength < Length && (segment.Flags & TcpMustBeAlone) == 0;
            EndsRun = (segment.Flags & TcpFlags.Ending) != 0;
        }
    }
}
