using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Esp;

/// <summary>An inner packet found in an opened ESP packet.</summary>
/// <param name="Offset">Where it starts, counted from the SPI.</param>
/// <param name="Length">Its length by its own header; TFC padding is not in it.</param>
/// <param name="Version">Its IP version.</param>
public readonly record struct InnerPacket(int Offset, int Length, IpVersion Version)
{
    /// <summary>The padding behind it is not 1, 2, 3 … (RFC 4303 §2.4).</summary>
    public bool HasUnusualPadding { get; init; }
}

/// <summary>
/// Receives ESP (RFC 4303 §3.4) in two steps around the SA's transform: <see cref="Check"/> before it is opened, <see cref="Commit"/> after its ICV verified.
/// On the worker that owns the SA, in a batch. Allocates nothing.
/// </summary>
public static class EspDecapsulation
{
    /// <summary>
    /// State, direction, length, whole blocks, the replay window, then the limits (in the order of the kernel's xfrm_input, so that a replayed packet
    /// cannot end an SA). The window is not changed; the SA's replay counters and, where a limit is met, its state are.
    /// </summary>
    /// <param name="sa">The SA that SPI and outer destination found.</param>
    /// <param name="esp">From the SPI to the end of the packet.</param>
    /// <param name="sequence">The 64-bit sequence number to open the packet with.</param>
    /// <param name="notice">An event that the caller must post for this SA, also where a reason is returned.</param>
    public static DropReason Check(SecurityAssociation sa, ReadOnlySpan<byte> esp, out ulong sequence, out IpsecEventKind? notice)
    {
        sequence = 0;
        notice = null;
        if (sa.State != SaState.Valid || sa.Transform is not { } transform)
        {
            return NotValid(sa.State);
        }

        if (sa.SaDirection == SecurityAssociation.DirectionOut)
        {
            return DropReason.InboundSaDirection;
        }

        if (!transform.Geometry.CanBeOpened(esp.Length))
        {
            return DropReason.InboundMalformedEsp;
        }

        uint low = BinaryPrimitives.ReadUInt32BigEndian(esp[4..]);
        sequence = low;
        if (sa.Replay is { } replay && Judge(sa, replay.Check(low, out sequence)) is var replayed && replayed != DropReason.None)
        {
            return replayed;
        }

        return LifetimeCheck.Allows(sa, out notice) ? DropReason.None : DropReason.InboundSaExpired;
    }

    /// <summary>
    /// Checks limits and window again, moves the window, counts the packet, and finds the inner packet: padding, next header, inner version and length,
    /// TFC padding stripped.
    /// </summary>
    /// <param name="sa">The SA whose transform verified the packet.</param>
    /// <param name="sequence">What <see cref="Check"/> gave.</param>
    /// <param name="opened">The packet from the SPI to the end of the ICV, payload and trailer in plaintext.</param>
    /// <param name="nowUnixSeconds">Time of the batch, Unix seconds.</param>
    /// <param name="inner">The inner packet; undefined unless None is returned.</param>
    /// <param name="notice">An event that the caller must post for this SA, also where a reason is returned.</param>
    /// <returns>
    /// None, or why the packet must be dropped. Of a batch with two packets of one number, the second is a replay here and is not counted as use.
    /// Any other packet is counted as use, because it is authentic.
    /// </returns>
    public static DropReason Commit(
        SecurityAssociation sa, ulong sequence, ReadOnlySpan<byte> opened, ulong nowUnixSeconds, out InnerPacket inner, out IpsecEventKind? notice)
    {
        inner = default;
        notice = null;
        if (sa.State != SaState.Valid || sa.Transform is not { } transform)
        {
            return NotValid(sa.State);
        }

        // Packets of one batch pass Check before any of them is counted.
        if (!LifetimeCheck.Allows(sa, out notice))
        {
            return DropReason.InboundSaExpired;
        }

        // RFC 4303 §3.4.3: the window moves only after the ICV verified; another packet of the batch may have moved it meanwhile.
        if (sa.Replay is { } replay && Judge(sa, replay.Commit(sequence)) is var replayed && replayed != DropReason.None)
        {
            return replayed;
        }

        var geometry = transform.Geometry;
        int offset = EspGeometry.HeaderLength + geometry.IvLength;
        var reason = FindInner(opened[offset..^geometry.IcvLength], offset, out inner, out int used);
        LifetimeCheck.Count(sa, used, nowUnixSeconds);
        return reason;
    }

    /// <summary>
    /// Counts the failure of a packet that the transform refused. Replay failures are counted by <see cref="Check"/> and <see cref="Commit"/> themselves;
    /// for them and for reasons that no counter of an SA has, this does nothing.
    /// </summary>
    public static void CountFailure(SecurityAssociation sa, DropReason reason)
    {
        if (reason == DropReason.InboundIntegrityFailure)
        {
            sa.IntegrityFailures++;
        }
    }

    private static DropReason NotValid(SaState state) => state switch
    {
        SaState.Larval => DropReason.InboundSaLarval,
        SaState.Expired => DropReason.InboundSaExpired,
        _ => DropReason.InboundSaNotValid,
    };

    // As the kernel: a number that was never sent counts in no counter of the SA, though it is dropped for its sequence number.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static DropReason Judge(SecurityAssociation sa, ReplayVerdict verdict)
    {
        switch (verdict)
        {
            case ReplayVerdict.Acceptable:
                return DropReason.None;
            case ReplayVerdict.Replayed:
                sa.ReplayFailures++;
                return DropReason.InboundReplayed;
            case ReplayVerdict.OutsideWindow:
                sa.ReplayWindowFailures++;
                return DropReason.InboundOutsideReplayWindow;
            default:
                return DropReason.InboundOutsideReplayWindow;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static DropReason FindInner(ReadOnlySpan<byte> plaintext, int offset, out InnerPacket inner, out int used)
    {
        inner = default;
        used = 0;
        byte nextHeader = plaintext[^1];
        int padLength = plaintext[^2];
        int payloadLength = plaintext.Length - EspGeometry.TrailerLength - padLength;
        if (payloadLength < 0)
        {
            return DropReason.InboundBadPadding;
        }

        used = payloadLength;
        var payload = plaintext[..payloadLength];
        switch (nextHeader)
        {
            case EspNextHeader.None:
                return DropReason.InboundDummy;
            case EspNextHeader.IPv4 or EspNextHeader.IPv6:
                var version = nextHeader == EspNextHeader.IPv4 ? IpVersion.IPv4 : IpVersion.IPv6;
                if (payload.IsEmpty)
                {
                    return DropReason.InboundMalformedInner;
                }

                if (payload[0] >> 4 != (int)version)
                {
                    return DropReason.InboundBadNextHeader;
                }

                int length = InnerLength(payload, version);
                if (length < 0)
                {
                    return DropReason.InboundMalformedInner;
                }

                used = length;
                inner = new InnerPacket(offset, length, version) { HasUnusualPadding = !IsUsual(plaintext.Slice(payloadLength, padLength)) };
                return DropReason.None;
            default:
                return DropReason.InboundBadNextHeader;
        }
    }

    // RFC 4303 §2.4: a receiver should inspect the padding, against changes by others "in the absence of other integrity measures". No SA here is
    // without one: whoever wrote this padding has the key.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsUsual(ReadOnlySpan<byte> padding)
    {
        for (int i = 0; i < padding.Length; i++)
        {
            if (padding[i] != i + 1)
            {
                return false;
            }
        }

        return true;
    }

    // RFC 4303 §2.7: the inner packet's own length says where TFC padding starts.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int InnerLength(ReadOnlySpan<byte> payload, IpVersion version)
    {
        if (version == IpVersion.IPv4)
        {
            if (payload.Length < 20)
            {
                return -1;
            }

            int headerLength = (payload[0] & 0x0F) * 4;
            int total = BinaryPrimitives.ReadUInt16BigEndian(payload[2..]);
            return headerLength >= 20 && total >= headerLength && total <= payload.Length ? total : -1;
        }

        if (payload.Length < 40)
        {
            return -1;
        }

        int length = 40 + BinaryPrimitives.ReadUInt16BigEndian(payload[4..]);
        return length <= payload.Length ? length : -1;
    }
}
