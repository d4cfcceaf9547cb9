namespace Espalier.Io.Interop;

/// <summary>Options of UDP sockets (linux/udp.h), on level IPPROTO_UDP.</summary>
internal static class Udp
{
    /// <summary>Datagrams over IPv6 are sent without checksum. Linux 3.16.</summary>
    internal const int UDP_NO_CHECK6_TX = 101;

    /// <summary>Datagrams over IPv6 are taken without checksum. Linux 3.16.</summary>
    internal const int UDP_NO_CHECK6_RX = 102;

    /// <summary>Control message: cut the payload into datagrams of so many bytes (u16). Linux 4.18.</summary>
    internal const int UDP_SEGMENT = 103;

    /// <summary>Option: datagrams that the kernel joined are wanted as one. Control message: of so many bytes each but the last (int). Linux 5.0.</summary>
    internal const int UDP_GRO = 104;
}
