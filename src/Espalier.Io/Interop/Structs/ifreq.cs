using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct ifreq (net/if.h) with the members of its union that are in use.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
internal unsafe struct ifreq
{
    /// <summary>IFNAMSIZ: room for a name and its final zero byte.</summary>
    internal const int IFNAMSIZ = 16;

    [FieldOffset(0)]
    public fixed byte ifr_name[IFNAMSIZ];

    [FieldOffset(16)]
    public short ifr_flags;

    [FieldOffset(16)]
    public int ifr_ifindex;

    [FieldOffset(16)]
    public int ifr_mtu;
}
