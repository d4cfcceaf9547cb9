using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Espalier.Xfrm.Messages.Structs;

// The structs of linux/xfrm.h that others contain, field by field in the kernel's order and alignment (host byte order unless said).
// A test compiles C and compares every size and offset.

/// <summary>xfrm_address_t: 16 bytes in network byte order; an IPv4 address takes the first four, the rest is zero.</summary>
[InlineArray(4)]
internal struct XfrmAddress
{
    private uint _word;
}

/// <summary>xfrm_id: what identifies an SA. The SPI is in network byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmId
{
    public XfrmAddress DestinationAddress;
    public uint Spi;
    public byte Protocol;
}

/// <summary>xfrm_selector. Ports and their masks are in network byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmSelector
{
    public XfrmAddress DestinationAddress;
    public XfrmAddress SourceAddress;
    public ushort DestinationPort;
    public ushort DestinationPortMask;
    public ushort SourcePort;
    public ushort SourcePortMask;
    public ushort Family;
    public byte DestinationPrefixLength;
    public byte SourcePrefixLength;
    public byte Protocol;
    public int InterfaceIndex;
    public uint User;
}

/// <summary>xfrm_lifetime_cfg: limits.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmLifetimeConfiguration
{
    public ulong SoftByteLimit;
    public ulong HardByteLimit;
    public ulong SoftPacketLimit;
    public ulong HardPacketLimit;
    public ulong SoftAddExpiresSeconds;
    public ulong HardAddExpiresSeconds;
    public ulong SoftUseExpiresSeconds;
    public ulong HardUseExpiresSeconds;
}

/// <summary>xfrm_lifetime_cur: use so far.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmLifetimeCurrent
{
    public ulong Bytes;
    public ulong Packets;
    public ulong AddTime;
    public ulong UseTime;
}

/// <summary>xfrm_mark.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmMark
{
    public uint Value;
    public uint Mask;
}

/// <summary>xfrm_user_sec_ctx: a security label, always refused.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct XfrmUserSecurityContext
{
    public ushort Length;
    public ushort ExtensionType;
    public byte Algorithm;
    public byte DomainOfInterpretation;
    public ushort ContextLength;
}
