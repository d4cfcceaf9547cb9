using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;

namespace Espalier.Ipsec.Esp;

/// <summary>
/// Lays out ESP around an inner packet, in place (RFC 4303 §3.3); the SA's transform then seals it.
/// <code>
///  headroom …   | SPI | sequence number | IV | inner packet | TFC padding | padding 1 2 3 … | pad length | next header | ICV |   … tailroom
///                ▲ frame.Offset                ▲ innerOffset                                                            frame end ▲
/// </code>
/// </summary>
public static class EspEncapsulation
{
    private const int LongestOuterPacket = 65535;

    /// <summary>
    /// Checks the SA's state, limits and sequence numbers, takes a sequence number, counts the packet and writes everything but IV, ciphertext and ICV:
    /// <see cref="TryLayOut"/>, then <see cref="TryNumber"/>. On the worker that owns the SA, in a batch. Allocates nothing.
    /// </summary>
    /// <param name="sa">The outbound SA.</param>
    /// <param name="buffer">The slot: headroom of at least 8 + IV bytes before the inner packet, room for TFC padding, trailer and ICV behind it.</param>
    /// <param name="innerOffset">Where the inner packet starts in <paramref name="buffer"/>.</param>
    /// <param name="innerLength">Bytes of the inner packet.</param>
    /// <param name="nextHeader">4, 41, or 59 for a dummy packet (<see cref="EspNextHeader"/>).</param>
    /// <param name="maxPayload">The SA's inner MTU: TFC padding does not go beyond it (RFC 4303 §2.7).</param>
    /// <param name="nowUnixSeconds">Time of the batch, Unix seconds.</param>
    /// <param name="frame">The ESP packet in <paramref name="buffer"/>; undefined unless None is returned.</param>
    /// <param name="notice">An event that the caller must post for this SA, also where a reason is returned.</param>
    /// <returns><see cref="DropReason.None"/>, or why the packet must be dropped; then nothing was counted or taken.</returns>
    public static DropReason TryPrepare(
        SecurityAssociation sa, Span<byte> buffer, int innerOffset, int innerLength, byte nextHeader, int maxPayload,
        ulong nowUnixSeconds, out EspFrame frame, out IpsecEventKind? notice)
    {
        notice = null;
        var reason = TryLayOut(sa, buffer, innerOffset, innerLength, nextHeader, maxPayload, out frame);
        return reason == DropReason.None ? TryNumber(sa, buffer, ref frame, nowUnixSeconds, out notice) : reason;
    }

    /// <summary>
    /// The first half of <see cref="TryPrepare"/>: everything but the header. It reads the SA and changes nothing in it, so that the worker need not
    /// own it.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static DropReason TryLayOut(
        SecurityAssociation sa, Span<byte> buffer, int innerOffset, int innerLength, byte nextHeader, int maxPayload, out EspFrame frame)
    {
        frame = default;
        if (NotUsable(sa) is var unusable and not DropReason.None)
        {
            return unusable;
        }

        var geometry = sa.Transform!.Geometry;
        int offset = innerOffset - geometry.IvLength - EspGeometry.HeaderLength;
        int length = geometry.PacketLength(innerLength);
        int longest = LongestEsp(sa);
        if (innerLength < 0 || offset < 0 || length > buffer.Length - offset || length > longest)
        {
            return DropReason.OutboundOversized;
        }

        int tfc = TfcPadding(sa, geometry, innerLength, maxPayload, Math.Min(longest, buffer.Length - offset));
        frame = new EspFrame { Offset = offset, Length = geometry.PacketLength(innerLength + tfc), InnerLength = innerLength };
        WriteTrailer(buffer[(innerOffset + innerLength)..(offset + frame.Length - geometry.IcvLength)], tfc, nextHeader);
        return DropReason.None;
    }

    /// <summary>
    /// The second half of <see cref="TryPrepare"/>, on the worker that owns the SA: limits, sequence number, counts, header. Once it gives a reason for a packet of an SA, it
    /// does for all after it.
    /// </summary>
    /// <param name="sa">The outbound SA.</param>
    /// <param name="buffer">Where the frame lies.</param>
    /// <param name="frame">Laid out; gets its number.</param>
    /// <param name="nowUnixSeconds">Time of the batch, Unix seconds.</param>
    /// <param name="notice">An event that the caller must post for this SA, also where a reason is returned.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static DropReason TryNumber(
        SecurityAssociation sa, Span<byte> buffer, ref EspFrame frame, ulong nowUnixSeconds, out IpsecEventKind? notice)
    {
        notice = null;
        if (NotUsable(sa) is var unusable and not DropReason.None)
        {
            return unusable;
        }

        if (!LifetimeCheck.Allows(sa, out notice))
        {
            return DropReason.OutboundSaExpired;
        }

        // RFC 4303 §3.3.3: the first packet has number 1, and the number never cycles. As in the kernel the SA stays, unable to send.
        if (sa.OutboundSequence >= (sa.UsesEsn ? ulong.MaxValue : uint.MaxValue))
        {
            return DropReason.OutboundSequenceExhausted;
        }

        LifetimeCheck.Count(sa, frame.InnerLength, nowUnixSeconds);
        frame.Sequence = ++sa.OutboundSequence;
        WriteHeader(buffer.Slice(frame.Offset, EspGeometry.HeaderLength), sa.Id.Spi, frame.Sequence);
        return DropReason.None;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static DropReason NotUsable(SecurityAssociation sa) =>
        sa.State == SaState.Valid && sa.Transform is not null ? DropReason.None
        : sa.State == SaState.Expired ? DropReason.OutboundSaExpired : DropReason.OutboundSaNotValid;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int LongestEsp(SecurityAssociation sa)
    {
        // An IPv6 header is not counted in its payload length, an IPv4 header is in its total length.
        int headers = sa.OuterHeaderLength - (sa.Source.Version == Wire.Addresses.IpVersion.IPv6 ? 40 : 0);
        return LongestOuterPacket - headers;
    }

    // As the kernel: pad to the smaller of the wanted length and what the path carries, and here also what the slot holds.
    private static int TfcPadding(SecurityAssociation sa, EspGeometry geometry, int innerLength, int maxPayload, int room)
    {
        if (sa.TfcPadding == 0)
        {
            return 0;
        }

        int target = (int)Math.Min(sa.TfcPadding, (uint)Math.Max(0, maxPayload));
        target = Math.Min(target, geometry.LargestPayload(room));
        return Math.Max(0, target - innerLength);
    }

    // RFC 4303 §2.1, §2.2: of the 64-bit number only the low half is sent.
    // Written as one word, because the transform reads it at once as one (associated data): two halves would have to reach the cache first.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteHeader(Span<byte> header, Spi spi, ulong sequence) =>
        BinaryPrimitives.WriteUInt64BigEndian(header, ((ulong)spi.Value << 32) | (uint)sequence);

    // RFC 4303 §2.4: the padding is 1, 2, 3, …; TFC padding (§2.7) stands before it and is zero.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void WriteTrailer(Span<byte> trailer, int tfc, byte nextHeader)
    {
        trailer[..tfc].Clear();
        var padding = trailer[tfc..^EspGeometry.TrailerLength];
        for (int i = 0; i < padding.Length; i++)
        {
            padding[i] = (byte)(i + 1);
        }

        trailer[^2] = (byte)padding.Length;
        trailer[^1] = nextHeader;
    }
}
