namespace Espalier.Io.Interop;

/// <summary>Constants of linux/if_tun.h.</summary>
internal static class Tun
{
    // Requests
    internal const ulong TUNSETIFF = 0x400454ca;
    internal const ulong TUNSETOFFLOAD = 0x400454d0;
    internal const ulong TUNSETQUEUE = 0x400454d9;

    // Flags of TUNSETIFF
    internal const short IFF_TUN = 0x0001;
    internal const short IFF_NAPI = 0x0010;
    internal const short IFF_MULTI_QUEUE = 0x0100;
    internal const short IFF_NO_PI = 0x1000;
    internal const short IFF_VNET_HDR = 0x4000;

    // Flags of TUNSETQUEUE
    internal const short IFF_DETACH_QUEUE = 0x0400;

    // Flags of TUNSETOFFLOAD: what may come to us unfinished. USO since Linux 6.2; refused with EINVAL before.
    internal const uint TUN_F_CSUM = 0x01;
    internal const uint TUN_F_TSO4 = 0x02;
    internal const uint TUN_F_TSO6 = 0x04;
    internal const uint TUN_F_TSO_ECN = 0x08;
    internal const uint TUN_F_USO4 = 0x20;
    internal const uint TUN_F_USO6 = 0x40;
}
