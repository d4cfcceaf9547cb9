namespace Espalier.Io.Tun;

/// <summary>What a TUN gives and takes beyond plain packets: the rungs of its ladder.</summary>
[Flags]
public enum TunOffloads
{
    /// <summary>One packet a call, as it goes on the wire.</summary>
    None = 0,

    /// <summary>Packets of TCP that are still to be cut, and checksums that are still to be completed (TUN_F_CSUM, TSO4, TSO6).</summary>
    Tcp = 1,

    /// <summary>The same for UDP (TUN_F_USO4, USO6; Linux 6.2).</summary>
    Udp = 2,

    /// <summary>All there are.</summary>
    All = Tcp | Udp,
}
