using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct in6_pktinfo (netinet/in.h).</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct in6_pktinfo
{
    public fixed byte ipi6_addr[16];
    public uint ipi6_ifindex;
}
