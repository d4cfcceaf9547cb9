using System.Buffers.Binary;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Icmp;

/// <summary>
/// Writes the two ICMP errors of a tunnel entry: the packet is too large for the tunnel. What is written is the message from its type
/// on; the IP header is the sender's. Whether one may be sent at all is decided by <see cref="IcmpErrorRules"/>.
/// <code>
/// ICMP (RFC 792, RFC 1191 §4)                ICMPv6 (RFC 4443 §3.2)
/// | type 3 | code 4 |    checksum     |      | type 2 | code 0 |    checksum     |
/// |   unused = 0    |  next-hop MTU   |      |               MTU                 |
/// | the packet, as far as it fits ... |      | the packet, as far as it fits ... |
/// </code>
/// </summary>
public static class IcmpErrorMessage
{
    /// <summary>ICMP: destination unreachable.</summary>
    public const byte DestinationUnreachable = 3;

    /// <summary>ICMP: code of destination unreachable for "fragmentation needed and DF set".</summary>
    public const byte FragmentationNeededCode = 4;

    /// <summary>ICMPv6: Packet Too Big.</summary>
    public const byte PacketTooBig = 2;

    /// <summary>RFC 1812 §4.3.2.3: an ICMP error, its IP header of 20 bytes included, does not exceed 576 bytes.</summary>
    public const int LargestIPv4Error = 576;

    /// <summary>RFC 4443 §2.4 (c): an ICMPv6 error, its IP header included, does not exceed the minimum MTU.</summary>
    public const int LargestIPv6Error = IPv6Packet.MinimumMtu;

    /// <summary>RFC 791: every link carries an IPv4 packet of 68 bytes; a smaller MTU is never reported.</summary>
    public const int SmallestIPv4Mtu = 68;

    /// <summary>A buffer of so many bytes holds any message written here.</summary>
    public const int MaximumLength = LargestIPv6Error - IPv6Packet.FixedHeaderLength;

    /// <summary>
    /// Writes "fragmentation needed and DF set" about <paramref name="offending"/> (from its IP header on), with its checksum,
    /// and returns the length. <paramref name="nextHopMtu"/> is clamped to what the field holds and to <see cref="SmallestIPv4Mtu"/>.
    /// <paramref name="message"/> has room for <see cref="MaximumLength"/> bytes and does not overlap <paramref name="offending"/>.
    /// </summary>
    public static int WriteFragmentationNeeded(Span<byte> message, ReadOnlySpan<byte> offending, int nextHopMtu)
    {
        int length = WriteHeaderAndQuote(
            message, offending, LargestIPv4Error - IPv4Packet.MinimumHeaderLength, DestinationUnreachable, FragmentationNeededCode);
        BinaryPrimitives.WriteUInt16BigEndian(message[6..], (ushort)Math.Clamp(nextHopMtu, SmallestIPv4Mtu, ushort.MaxValue));
        BinaryPrimitives.WriteUInt16BigEndian(message[2..], InternetChecksum.Compute(message[..length]));
        return length;
    }

    /// <summary>
    /// Writes Packet Too Big about <paramref name="offending"/> (from its IP header on) and returns the length. The checksum is 0:
    /// a raw ICMPv6 socket fills it in (RFC 3542 §3.1), and only the kernel knows the source address; otherwise see
    /// <see cref="WriteIPv6Checksum"/>. An MTU under 1,280 is reported as 1,280, because no node goes below it (RFC 8201 §4):
    /// whoever calls this must carry packets of 1,280 bytes by other means.
    /// <paramref name="message"/> has room for <see cref="MaximumLength"/> bytes and does not overlap <paramref name="offending"/>.
    /// </summary>
    public static int WritePacketTooBig(Span<byte> message, ReadOnlySpan<byte> offending, int mtu)
    {
        int length = WriteHeaderAndQuote(message, offending, MaximumLength, PacketTooBig, 0);
        BinaryPrimitives.WriteInt32BigEndian(message[4..], Math.Max(mtu, IPv6Packet.MinimumMtu));
        return length;
    }

    /// <summary>
    /// Writes an ICMP or ICMPv6 error (by the version of <paramref name="destination"/>), with its checksum, around what it is to quote and which stands
    /// already behind the first 8 bytes of <paramref name="message"/>. For an error that is passed on as it came.
    /// </summary>
    /// <param name="message">The whole message.</param>
    /// <param name="source">Who sends it.</param>
    /// <param name="destination">To whom.</param>
    /// <param name="type">Its type.</param>
    /// <param name="code">Its code.</param>
    /// <param name="mtu">MTU that it tells, 0 = none.</param>
    public static void WriteAround(Span<byte> message, InternetAddress source, InternetAddress destination, byte type, byte code, int mtu)
    {
        message[..IcmpMessage.HeaderLength].Clear();
        message[0] = type;
        message[1] = code;
        if (destination.Version == IpVersion.IPv6)
        {
            BinaryPrimitives.WriteInt32BigEndian(message[4..], mtu);
            WriteIPv6Checksum(message, source, destination);
        }
        else
        {
            BinaryPrimitives.WriteUInt16BigEndian(message[6..], (ushort)Math.Min(mtu, ushort.MaxValue));
            BinaryPrimitives.WriteUInt16BigEndian(message[2..], InternetChecksum.Compute(message));
        }
    }

    /// <summary>Computes and writes the checksum of an ICMPv6 message for these addresses (RFC 4443 §2.3).</summary>
    public static void WriteIPv6Checksum(Span<byte> message, InternetAddress source, InternetAddress destination)
    {
        BinaryPrimitives.WriteUInt16BigEndian(message[2..], 0);
        ulong sum = InternetChecksum.SumPseudoHeader(source, destination, IpProtocol.IcmpV6, message.Length);
        BinaryPrimitives.WriteUInt16BigEndian(message[2..], InternetChecksum.Finish(InternetChecksum.Sum(message, sum)));
    }

    private static int WriteHeaderAndQuote(Span<byte> message, ReadOnlySpan<byte> offending, int limit, byte type, byte code)
    {
        int quoted = Math.Min(offending.Length, limit - IcmpMessage.HeaderLength);
        message[..IcmpMessage.HeaderLength].Clear();
        message[0] = type;
        message[1] = code;
        offending[..quoted].CopyTo(message[IcmpMessage.HeaderLength..]);
        return IcmpMessage.HeaderLength + quoted;
    }
}
