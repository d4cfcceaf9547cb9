using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Coalescing;

/// <summary>
/// Packets that go on together: one, or several of which each continues the one before. What the packets share is read from the first, the head,
/// which stays in its buffer unchanged until the run is complete.
/// </summary>
internal struct Run
{
    /// <summary>What was read of the head.</summary>
    public Candidate Head;

    /// <summary>Number of the first packet and of the last one so far.</summary>
    public int First, Last;

    /// <summary>Number of packets.</summary>
    public int Count;

    /// <summary>Bytes of the IP packet they make.</summary>
    public int Length;

    /// <summary>True once the head's checksum is known to be right; it is verified when a second packet would join.</summary>
    public bool IsHeadVerified;

    /// <summary>FIN and PSH of the packets that joined.</summary>
    public byte EndingFlags;

    // IPv4 with DF: all have the same identification (decided by the second packet).
    private bool _hasFixedId;

    /// <summary>
    /// True where <paramref name="packet"/> continues this run by its headers; its checksum and the head's are not looked at. Both are of one flow.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Continues(ReadOnlySpan<byte> head, ReadOnlySpan<byte> packet, in Candidate candidate) =>
        candidate.HeaderLength == Head.HeaderLength && candidate.TransportOffset == Head.TransportOffset
        && candidate.PayloadLength <= Head.PayloadLength && Length + candidate.PayloadLength <= ushort.MaxValue
        && (Head.Flow.IsIPv4 ? ContinuesIPv4(head, packet) : ContinuesIPv6(head, packet))
        && (!Head.IsTcp || ContinuesTcp(head[Head.TransportOffset..], packet[Head.TransportOffset..]));

    // inet_gro_flush: TOS, TTL and DF equal; the identification one more each time or, with DF, where it has no meaning (RFC 6864 §4.1), always the same.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool ContinuesIPv4(ReadOnlySpan<byte> head, ReadOnlySpan<byte> packet)
    {
        if (head[1] != packet[1] || head[8] != packet[8] || head[6] != packet[6])
        {
            return false;
        }

        ushort distance = (ushort)(BinaryPrimitives.ReadUInt16BigEndian(packet[4..]) - BinaryPrimitives.ReadUInt16BigEndian(head[4..]));
        if (Count == 1)
        {
            _hasFixedId = distance == 0 && (head[6] & 0x40) != 0;
        }

        return distance == (_hasFixedId ? 0 : Count);
    }

    // ipv6_gro_receive, ipv6_gro_flush: all of the header but the length, and the extension headers.
    private readonly bool ContinuesIPv6(ReadOnlySpan<byte> head, ReadOnlySpan<byte> packet) =>
        head[..4].SequenceEqual(packet[..4]) && head[6] == packet[6] && head[7] == packet[7]
        && head[IPv6Packet.FixedHeaderLength..Head.TransportOffset].SequenceEqual(packet[IPv6Packet.FixedHeaderLength..Head.TransportOffset]);

    // tcp_gro_receive: the next sequence number; acknowledgment, flags, window and options equal. The urgent pointer too, which the kernel lets go.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool ContinuesTcp(ReadOnlySpan<byte> head, ReadOnlySpan<byte> segment)
    {
        // Data offset, reserved bits, flags and window are one word.
        const uint ButEnding = ~((uint)TcpFlags.Ending << 16);
        int end = Head.HeaderLength - Head.TransportOffset;
        uint sequence = BinaryPrimitives.ReadUInt32BigEndian(head[4..]) + (uint)(Length - Head.HeaderLength);
        return BinaryPrimitives.ReadUInt32BigEndian(segment[4..]) == sequence
            && BinaryPrimitives.ReadUInt32BigEndian(segment[8..]) == BinaryPrimitives.ReadUInt32BigEndian(head[8..])
            && ((BinaryPrimitives.ReadUInt32BigEndian(segment[12..]) ^ BinaryPrimitives.ReadUInt32BigEndian(head[12..])) & ButEnding) == 0
            && head[18..end].SequenceEqual(segment[18..end]);
    }
}
