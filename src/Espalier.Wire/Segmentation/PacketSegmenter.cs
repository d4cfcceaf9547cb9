using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Espalier.Wire.Checksums;
using Espalier.Wire.Offload;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Segmentation;

/// <summary>
/// Cuts a super-packet that a TUN with TSO or USO gave us into the IP packets that the kernel's own GSO would have sent (tcp_gso_segment,
/// __udp_gso_segment, inet_gso_segment, ipv6_gso_segment). Use: <see cref="TryCreate"/>, then <see cref="TryWriteNext"/> until it returns false.
/// <code>
///                    every segment             first        all but the last   last
///   IPv4             length, checksum                                                   identification + 1 each
///   IPv6             payload length
///   TCP              sequence, checksum        CWR stays    FIN, PSH cleared   FIN, PSH as they were
///   UDP              length, checksum
/// </code>
/// All else, options and extension headers included, is copied. One forward pass; allocates nothing. The packet must not change, and no
/// destination may overlap it, while segments are written.
/// </summary>
public ref struct PacketSegmenter
{
    private readonly ReadOnlySpan<byte> _packet;
    private readonly SuperPacket _super;
    private readonly int _segmentSize;

    // Sums of what stays the same in every segment's header: see InvariantSums.
    private readonly ulong _networkSum;
    private readonly ulong _transportSum;

    private int _position;
    private int _written;

    private PacketSegmenter(ReadOnlySpan<byte> packet, SuperPacket super, int segmentSize)
    {
        _packet = packet;
        _super = super;
        _segmentSize = segmentSize;
        Count = Math.Max(1, (packet.Length - super.HeaderLength + segmentSize - 1) / segmentSize);
        (_networkSum, _transportSum) = InvariantSums(packet, super);
    }

    /// <summary>How many segments there are: at least 1.</summary>
    public int Count { get; }

    /// <summary>Bytes of the largest segment, which is the first. Room for it is room for each.</summary>
    public readonly int LargestLength => _super.HeaderLength + Math.Min(_segmentSize, _packet.Length - _super.HeaderLength);

    /// <summary>
    /// Prepares to cut <paramref name="packet"/>, which is the whole of it. Segments of TCP are made no longer than
    /// <paramref name="maximumLength"/> bytes, IP header included, with fewer bytes of payload than the kernel asked for if need be. A datagram
    /// is never cut: <see cref="LargestLength"/> tells whether those of UDP fit, and where they do not each has to be treated as a packet of its own.
    /// </summary>
    public static bool TryCreate(
        ReadOnlySpan<byte> packet, in VnetHeader header, int maximumLength, out PacketSegmenter segmenter, out SegmentationRefusal refusal)
    {
        segmenter = default;
        refusal = SuperPacket.TryParse(packet, header, out var super);
        if (refusal != SegmentationRefusal.None)
        {
            return false;
        }

        int size = super.IsTcp ? Math.Min(header.GsoSize, maximumLength - super.HeaderLength) : header.GsoSize;
        if (size <= 0)
        {
            refusal = SegmentationRefusal.NoRoom;
            return false;
        }

        segmenter = new PacketSegmenter(packet, super, size);
        return true;
    }

    /// <summary>Leaves out the next segments, which were written before.</summary>
    public void Skip(int count)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Count - _written);
        _written += count;
        _position = Math.Min(_position + (count * _segmentSize), _packet.Length - _super.HeaderLength);
    }

    /// <summary>
    /// Writes the next segment into <paramref name="destination"/>, which has room for <see cref="LargestLength"/> bytes, and says how long it is.
    /// False where all have been written.
    /// </summary>
    public bool TryWriteNext(Span<byte> destination, out int length)
    {
        length = 0;
        if (_written == Count)
        {
            return false;
        }

        int headerLength = _super.HeaderLength;
        int size = Math.Min(_segmentSize, _packet.Length - headerLength - _position);
        var segment = destination[..(headerLength + size)];
        var payload = segment[headerLength..];
        _packet[..headerLength].CopyTo(segment);
        _packet.Slice(headerLength + _position, size).CopyTo(payload);

        // Not in one loop with the copy: that is no faster, and several times slower where the two buffers lie alike within their pages.
        ulong sum = InternetChecksum.Sum(payload, _transportSum);
        WriteNetworkHeader(segment);
        var transport = segment[_super.TransportOffset..];
        if (_super.IsTcp)
        {
            WriteTcpHeader(transport, sum);
        }
        else
        {
            WriteUdpHeader(transport, sum);
        }

        _position += size;
        _written++;
        length = segment.Length;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void WriteNetworkHeader(Span<byte> segment)
    {
        if (!_super.IsIPv4)
        {
            BinaryPrimitives.WriteUInt16BigEndian(segment[4..], (ushort)(segment.Length - IPv6Packet.FixedHeaderLength));
            return;
        }

        ushort identification = (ushort)(BinaryPrimitives.ReadUInt16BigEndian(_packet[4..]) + _written);
        ulong sum = _networkSum + InternetChecksum.Word((ushort)segment.Length) + InternetChecksum.Word(identification);
        BinaryPrimitives.WriteUInt16BigEndian(segment[2..], (ushort)segment.Length);
        BinaryPrimitives.WriteUInt16BigEndian(segment[4..], identification);
        BinaryPrimitives.WriteUInt16BigEndian(segment[10..], InternetChecksum.Finish(sum));
    }

    // RFC 3168 §6.1.2: CWR goes with the first segment. ECE stays in each, as do the other flags.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void WriteTcpHeader(Span<byte> transport, ulong sum)
    {
        uint sequence = BinaryPrimitives.ReadUInt32BigEndian(transport[4..]) + (uint)_position;
        if (_written > 0)
        {
            transport[13] &= unchecked((byte)~TcpFlags.Cwr);
        }

        if (_written < Count - 1)
        {
            transport[13] &= unchecked((byte)~TcpFlags.Ending);
        }

        BinaryPrimitives.WriteUInt32BigEndian(transport[4..], sequence);
        sum += InternetChecksum.Word((ushort)transport.Length)
            + InternetChecksum.Word((ushort)(sequence >> 16)) + InternetChecksum.Word((ushort)sequence)
            + InternetChecksum.Word(BinaryPrimitives.ReadUInt16BigEndian(transport[12..]));
        BinaryPrimitives.WriteUInt16BigEndian(transport[16..], InternetChecksum.Finish(sum));
    }

    // The length stands in the pseudo header and in the header. RFC 768: a computed 0 is sent as all ones.
    private static void WriteUdpHeader(Span<byte> transport, ulong sum)
    {
        BinaryPrimitives.WriteUInt16BigEndian(transport[4..], (ushort)transport.Length);
        ushort checksum = InternetChecksum.Finish(sum + (2 * InternetChecksum.Word((ushort)transport.Length)));
        BinaryPrimitives.WriteUInt16BigEndian(transport[6..], checksum == 0 ? (ushort)0xFFFF : checksum);
    }

    // The super-packet's headers, less the words that each segment has of its own (RFC 1624: a word is taken from a sum by adding its complement).
    // The checksum field of TCP or UDP holds the pseudo header's sum, and is thus counted in; its length is that of the whole and is taken out.
    // So it is right with a Routing header too, where the pseudo header has another destination than the IP header (RFC 8200 §8.1).
    private static (ulong Network, ulong Transport) InvariantSums(ReadOnlySpan<byte> packet, in SuperPacket super)
    {
        ulong network = 0;
        if (super.IsIPv4)
        {
            network = InternetChecksum.Sum(packet[..super.TransportOffset]) + Complement(packet, 2) + Complement(packet, 4) + Complement(packet, 10);
        }

        var transport = packet[super.TransportOffset..];
        ulong sum = InternetChecksum.Sum(packet[super.TransportOffset..super.HeaderLength]) + InternetChecksum.Word((ushort)~transport.Length);
        sum += super.IsTcp ? Complement(transport, 4) + Complement(transport, 6) + Complement(transport, 12) : Complement(transport, 4);
        return (network, sum);
    }

    private static ulong Complement(ReadOnlySpan<byte> data, int offset) =>
        InternetChecksum.Word((ushort)~BinaryPrimitives.ReadUInt16BigEndian(data[offset..]));
}
