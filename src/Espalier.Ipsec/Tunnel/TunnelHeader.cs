using System.Buffers.Binary;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Checksums;

namespace Espalier.Ipsec.Tunnel;

/// <summary>
/// What passes between the inner and the outer IP header: DSCP, ECN and DF (RFC 4301 §5.1.2, RFC 6040).
/// The traffic class is the IPv4 TOS byte or the IPv6 traffic class: DSCP in the high six bits, ECN in the low two.
/// Pure functions, any thread; nothing allocates or throws for a packet that <c>InnerPacketParser</c> accepted.
/// </summary>
public static class TunnelHeader
{
    private const byte EcnMask = 0x03;
    private const byte NotEct = 0b00;
    private const byte Ect1 = 0b01;
    private const byte Ect0 = 0b10;
    private const byte Ce = 0b11;

    // Entries of the table below that are no ECN field: flags beside it.
    private const byte Drop = 0x80;
    private const byte Possibly = 0x10;
    private const byte Always = 0x20;

    // RFC 6040 §4.2, figure 4; by 4 x inner + outer, both as on the wire (00 Not-ECT, 01 ECT(1), 10 ECT(0), 11 CE).
    private static ReadOnlySpan<byte> Decapsulation =>
    [
        NotEct, NotEct | Always, NotEct | Always, Drop | Always,
        Ect1, Ect1, Ect1 | Possibly, Ce,
        Ect0, Ect1, Ect0, Ce,
        Ce, Ce | Always, Ce, Ce,
    ];

    /// <summary>
    /// The outer traffic class for an inner one. RFC 4301 §5.1.2: DSCP is copied, unless the SA says otherwise.
    /// RFC 6040 §4.1: ECN is copied, CE included (normal mode); with <see cref="SaFlags.NoEcn"/> the outer field is Not-ECT (compatibility mode).
    /// </summary>
    public static byte OuterTrafficClass(byte innerTrafficClass, SaFlags flags, SaExtraFlags extraFlags)
    {
        int dscp = (extraFlags & SaExtraFlags.DontEncapsulateDscp) != 0 ? 0 : innerTrafficClass & ~EcnMask;
        int ecn = (flags & SaFlags.NoEcn) != 0 ? NotEct : innerTrafficClass & EcnMask;
        return (byte)(dscp | ecn);
    }

    /// <summary>
    /// The outer DF flag (RFC 4301 §8.1: copied or clear, as the SA says). An inner IPv6 packet counts as one with DF set;
    /// over IPv6 the answer means "do not fragment at the source".
    /// </summary>
    public static bool OuterDontFragment(bool innerDontFragment, SaFlags flags) =>
        innerDontFragment && (flags & SaFlags.NoPmtuDiscovery) == 0;

    /// <summary>
    /// Carries the outer traffic class of a decrypted packet over to its inner header, in place: with <see cref="SaFlags.DecapDscp"/> the DSCP,
    /// and unless <see cref="SaFlags.NoEcn"/> is set the ECN field as the table of RFC 6040 §4.2 says. The checksum of an IPv4 header is
    /// adjusted by the difference, so that a wrong one stays wrong.
    /// </summary>
    /// <param name="innerPacket">The inner packet from its IP header on; its header has been validated.</param>
    /// <param name="outerTrafficClass">TOS or traffic class of the outer packet as it arrived.</param>
    /// <param name="flags">Flags of the SA.</param>
    /// <param name="alert">How unusual the combination is, to be counted.</param>
    /// <returns>False where the packet must be dropped as <see cref="DropReason.InboundEcnForbidden"/>: outer CE over inner Not-ECT.</returns>
    public static bool TryDecapsulate(Span<byte> innerPacket, byte outerTrafficClass, SaFlags flags, out EcnAlert alert)
    {
        alert = EcnAlert.None;
        byte inner = ReadTrafficClass(innerPacket);
        byte forwarded = inner;
        if ((flags & SaFlags.NoEcn) == 0)
        {
            byte entry = Decapsulation[((inner & EcnMask) << 2) | (outerTrafficClass & EcnMask)];
            alert = (entry & Always) != 0 ? EcnAlert.AlwaysDangerous : (entry & Possibly) != 0 ? EcnAlert.PossiblyDangerous : EcnAlert.None;
            if ((entry & Drop) != 0)
            {
                return false;
            }

            forwarded = (byte)((inner & ~EcnMask) | (entry & EcnMask));
        }

        if ((flags & SaFlags.DecapDscp) != 0)
        {
            forwarded = (byte)((outerTrafficClass & ~EcnMask) | (forwarded & EcnMask));
        }

        if (forwarded != inner)
        {
            WriteTrafficClass(innerPacket, forwarded);
        }

        return true;
    }

    /// <summary>The TOS byte or traffic class of a validated IPv4 or IPv6 header.</summary>
    public static byte ReadTrafficClass(ReadOnlySpan<byte> packet)
    {
        ushort word = BinaryPrimitives.ReadUInt16BigEndian(packet);
        return (byte)(packet[0] >> 4 == 4 ? word : word >> 4);
    }

    /// <summary>Sets the TOS byte or traffic class of a validated IPv4 or IPv6 header; an IPv4 checksum is adjusted (RFC 1624 §3).</summary>
    public static void WriteTrafficClass(Span<byte> packet, byte trafficClass)
    {
        ushort word = BinaryPrimitives.ReadUInt16BigEndian(packet);
        if (packet[0] >> 4 != 4)
        {
            // The eight bits lie across two bytes: version (4), traffic class (8), high bits of the flow label (4).
            BinaryPrimitives.WriteUInt16BigEndian(packet, (ushort)((word & 0xF00F) | (trafficClass << 4)));
            return;
        }

        ushort changed = (ushort)((word & 0xFF00) | trafficClass);
        var checksum = packet.Slice(10, 2);
        BinaryPrimitives.WriteUInt16BigEndian(packet, changed);
        BinaryPrimitives.WriteUInt16BigEndian(
            checksum, InternetChecksum.Update(BinaryPrimitives.ReadUInt16BigEndian(checksum), word, changed));
    }
}
