using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Messages;

/// <summary>
/// The attributes of one message by type, each checked against the length its type must have at least, as the kernel's
/// nlmsg_parse_deprecated does with xfrma_policy: types it does not know are passed over, of two equal ones the last counts, bytes
/// left over at the end are ignored; types from SA_DIR on are checked strictly.
/// <code>
/// | length (2, header included) | type (2) | value … | padding to 4 | next …
/// </code>
/// </summary>
internal ref struct XfrmAttributes
{
    private ReadOnlySpan<byte> _message;
    private Table _table;

    /// <summary>Which set of types and lengths holds.</summary>
    public enum Kind
    {
        /// <summary>XFRMA_*.</summary>
        Xfrm,

        /// <summary>XFRMA_* of a kernel that does not know SA_DIR, and passes it over.</summary>
        XfrmWithoutDirection,

        /// <summary>XFRMA_SPD_*, of NEWSPDINFO.</summary>
        Spd,
    }

    /// <summary>True where bytes that are no attribute stood at the end; the kernel goes on, and warns in the acknowledgement.</summary>
    public bool HasLeftover { get; private set; }

    /// <summary>True where an attribute of this type is there.</summary>
    public readonly bool Has(XfrmAttribute type) => _table[(int)type].Offset != 0;

    /// <summary>The value of an attribute, empty if it is not there.</summary>
    public readonly ReadOnlySpan<byte> this[XfrmAttribute type] => Value(_table[(int)type]);

    /// <summary>The value of an attribute of NEWSPDINFO, empty if it is not there.</summary>
    public readonly ReadOnlySpan<byte> Spd(XfrmSpdAttribute type) => Value(_table[(int)type]);

    /// <summary>Where the attribute's header stands in the message, 0 if it is not there.</summary>
    public readonly int OffsetOf(XfrmAttribute type) => _table[(int)type].Offset;

    /// <summary>Reads a struct from the start of an attribute that is there and whose length was checked.</summary>
    public readonly T Read<T>(XfrmAttribute type)
        where T : unmanaged => MemoryMarshal.Read<T>(this[type]);

    /// <summary>The 32-bit value of an attribute, or a default if it is not there.</summary>
    public readonly uint ReadUInt32(XfrmAttribute type, uint missing) => Has(type) ? MemoryMarshal.Read<uint>(this[type]) : missing;

    /// <summary>Parses what follows <paramref name="headerLength"/> bytes of payload in a whole message.</summary>
    public static XfrmError Parse(ReadOnlySpan<byte> message, int headerLength, Kind kind, out XfrmAttributes attributes)
    {
        attributes = default;
        attributes._message = message;
        if (message.Length - NetlinkHeader.Size < headerLength)
        {
            return XfrmError.Invalid("Invalid header length");
        }

        int offset = NetlinkHeader.Size + Netlink.Align(headerLength);
        while (offset + NetlinkAttributeHeader.Size <= message.Length)
        {
            var header = MemoryMarshal.Read<NetlinkAttributeHeader>(message[offset..]);
            if (header.Length < NetlinkAttributeHeader.Size || offset + header.Length > message.Length)
            {
                break;
            }

            var error = attributes.Add(header, offset, kind);
            if (error.Failed)
            {
                return error;
            }

            offset += Netlink.Align(header.Length);
        }

        attributes.HasLeftover = offset < message.Length;
        return XfrmError.None;
    }

    private XfrmError Add(NetlinkAttributeHeader header, int offset, Kind kind)
    {
        int type = header.Type & Netlink.AttributeTypeMask;
        int length = header.Length - NetlinkAttributeHeader.Size;
        if (type == 0 || type > (kind == Kind.Spd ? (int)XfrmSpdAttribute.Last : (int)XfrmAttribute.Last)
            || (kind == Kind.XfrmWithoutDirection && type == (int)XfrmAttribute.SaDirection))
        {
            return XfrmError.None;
        }

        var error = kind == Kind.Spd
            ? CheckSpd((XfrmSpdAttribute)type, length)
            : Check((XfrmAttribute)type, header, _message.Slice(offset + NetlinkAttributeHeader.Size, length));
        if (error.Failed)
        {
            return error with { AttributeOffset = offset };
        }

        _table[type] = new Range(offset, length);
        return XfrmError.None;
    }

    private static XfrmError Failure => new(LinuxError.OutOfRange, "Attribute failed policy validation");

    private static XfrmError CheckSpd(XfrmSpdAttribute type, int length) =>
        type >= XfrmSpdAttribute.IPv4HashThreshold && length < Unsafe.SizeOf<XfrmSpdHashThreshold>() ? Failure : XfrmError.None;

    private static XfrmError Check(XfrmAttribute type, NetlinkAttributeHeader header, ReadOnlySpan<byte> value)
    {
        if (type >= XfrmAttribute.SaDirection)
        {
            return CheckStrictly(type, header, value);
        }

        return value.Length < MinimumLength(type) ? Failure : XfrmError.None;
    }

    private static XfrmError CheckStrictly(XfrmAttribute type, NetlinkAttributeHeader header, ReadOnlySpan<byte> value)
    {
        bool isFlag = type == XfrmAttribute.IptfsDontFragment;
        if (!isFlag && value.Length != MinimumLength(type))
        {
            return XfrmError.Invalid("invalid attribute length");
        }

        if ((header.Type & 0x8000) != 0)
        {
            return XfrmError.Invalid("NLA_F_NESTED not expected");
        }

        return isFlag && value.Length > 0 ? Failure
            : type == XfrmAttribute.SaDirection && value[0] is < XfrmValue.DirectionIn or > XfrmValue.DirectionOut
            ? new XfrmError(LinuxError.OutOfRange, "integer out of range")
            : XfrmError.None;
    }

    private static int MinimumLength(XfrmAttribute type) => type switch
    {
        XfrmAttribute.Sa => Unsafe.SizeOf<XfrmUserSaInfo>(),
        XfrmAttribute.Policy => Unsafe.SizeOf<XfrmUserPolicyInfo>(),
        XfrmAttribute.LastUsed => sizeof(ulong),
        XfrmAttribute.AlgorithmAuthenticationTruncated => Unsafe.SizeOf<XfrmAlgorithmAuthentication>(),
        XfrmAttribute.AlgorithmAead => Unsafe.SizeOf<XfrmAlgorithmAead>(),
        XfrmAttribute.AlgorithmAuthentication or XfrmAttribute.AlgorithmEncryption or XfrmAttribute.AlgorithmCompression
            => Unsafe.SizeOf<XfrmAlgorithm>(),
        XfrmAttribute.Encapsulation => Unsafe.SizeOf<XfrmEncapsulationTemplate>(),
        XfrmAttribute.Template => Unsafe.SizeOf<XfrmUserTemplate>(),
        XfrmAttribute.SecurityContext => Unsafe.SizeOf<XfrmUserSecurityContext>(),
        XfrmAttribute.LifetimeValue => Unsafe.SizeOf<XfrmLifetimeCurrent>(),
        XfrmAttribute.ReplayValue => Unsafe.SizeOf<XfrmReplayState>(),
        XfrmAttribute.SourceAddress or XfrmAttribute.CareOfAddress => Unsafe.SizeOf<XfrmAddress>(),
        XfrmAttribute.PolicyType => Unsafe.SizeOf<XfrmUserPolicyType>(),
        XfrmAttribute.Migrate => Unsafe.SizeOf<XfrmUserMigrate>(),
        XfrmAttribute.KeyManagerAddress => Unsafe.SizeOf<XfrmUserKeyManagerAddress>(),
        XfrmAttribute.Mark => Unsafe.SizeOf<XfrmMark>(),
        XfrmAttribute.ReplayEsnValue => Unsafe.SizeOf<XfrmReplayStateEsn>(),
        XfrmAttribute.Protocol or XfrmAttribute.SaDirection => sizeof(byte),
        XfrmAttribute.AddressFilter => Unsafe.SizeOf<XfrmAddressFilter>(),
        XfrmAttribute.OffloadDevice => Unsafe.SizeOf<XfrmUserOffload>(),
        XfrmAttribute.IptfsReorderWindow => sizeof(ushort),
        XfrmAttribute.ReplayThreshold or XfrmAttribute.EventTimerThreshold or XfrmAttribute.TfcPadding or XfrmAttribute.SaExtraFlags
            or XfrmAttribute.SetMark or XfrmAttribute.SetMarkMask or XfrmAttribute.InterfaceId or XfrmAttribute.MappingTimerThreshold
            or XfrmAttribute.NatKeepaliveInterval or XfrmAttribute.SaPerCpu or XfrmAttribute.IptfsDropTime
            or XfrmAttribute.IptfsInitialDelay or XfrmAttribute.IptfsMaximumQueueSize or XfrmAttribute.IptfsPacketSize => sizeof(uint),
        _ => 0,
    };

    private readonly ReadOnlySpan<byte> Value(Range range) =>
        range.Offset == 0 ? default : _message.Slice(range.Offset + NetlinkAttributeHeader.Size, range.Length);

    private readonly record struct Range(int Offset, int Length);

    [InlineArray((int)XfrmAttribute.Last + 1)]
    private struct Table
    {
        private Range _first;
    }
}
