using System.Runtime.InteropServices;

namespace Espalier.Io.Interop;

/// <summary>struct icmp6_filter (netinet/icmp6.h): one bit for each ICMPv6 type that is not to be received.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct icmp6_filter
{
    public fixed uint icmp6_filt[8];
}
