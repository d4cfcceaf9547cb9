using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct in_pktinfo (netinet/in.h). Addresses in network byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct in_pktinfo
{
    public int ipi_ifindex;
    public uint ipi_spec_dst;
    public uint ipi_addr;
}
