namespace Espalier.Io.Interop;

/// <summary>Constants of linux/if_tun.h.</summary>
internal static class Tun
{
    // Requests
    internal const ulong TUNSETIFF = 0x400454ca;
    internal const ulong TUNSETPERSIST = 0x400454cb;
    internal const ulong TUNGETIFF = 0x800454d2;

    // Flags of TUNSETIFF
    internal const short IFF_TUN = 0x0001;
    internal const short IFF_NO_PI = 0x1000;
}
