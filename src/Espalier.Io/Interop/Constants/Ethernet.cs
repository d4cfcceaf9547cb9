namespace Espalier.Io.Interop;

/// <summary>Constants of linux/if_ether.h.</summary>
internal static class Ethernet
{
    internal const ushort ETH_P_IP = 0x0800;
    internal const ushort ETH_P_IPV6 = 0x86DD;
    internal const int ETH_ALEN = 6;
}
