using System.Runtime.InteropServices;

namespace Espalier.Xfrm.Messages.Structs;

/// <summary>
/// nlmsghdr, host byte order. Messages and attributes start at multiples of 4.
/// <code>
/// | length (4, header included) | type (2) | flags (2) | sequence (4) | port id (4) | payload …
/// </code>
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NetlinkHeader
{
    public const int Size = 16;

    public uint Length;
    public ushort Type;
    public ushort Flags;
    public uint Sequence;
    public uint PortId;
}

/// <summary>nlattr: length (header included) and type, followed by the value.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NetlinkAttributeHeader
{
    public const int Size = 4;

    public ushort Length;
    public ushort Type;
}
