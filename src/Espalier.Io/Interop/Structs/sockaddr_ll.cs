using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct sockaddr_ll (linux/if_packet.h). The protocol in network byte order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct sockaddr_ll
{
    public ushort sll_family;
    public ushort sll_protocol;
    public int sll_ifindex;
    public ushort sll_hatype;
    public byte sll_pkttype;
    public byte sll_halen;
    public fixed byte sll_addr[8];
}
