namespace Espalier.Io.Netlink;

/// <summary>A network interface: its IFF_* flags, its MTU in bytes, and the packets that its queue holds.</summary>
public readonly record struct LinkInfo(uint Index, string Name, uint Flags, int Mtu, int TransmitQueueLength)
{
    /// <summary>Administratively up (IFF_UP).</summary>
    public bool IsUp => (Flags & Interop.Rtnetlink.IFF_UP) != 0;

    /// <summary>A loopback interface.</summary>
    public bool IsLoopback => (Flags & Interop.Rtnetlink.IFF_LOOPBACK) != 0;
}

/// <summary>What to change of an interface; null leaves it.</summary>
public readonly record struct LinkChange
{
    /// <summary>Up or down.</summary>
    public bool? Up { get; init; }

    /// <summary>IFF_MULTICAST.</summary>
    public bool? Multicast { get; init; }

    /// <summary>MTU in bytes.</summary>
    public int? Mtu { get; init; }

    /// <summary>Packets that its queue holds.</summary>
    public int? TransmitQueueLength { get; init; }

    /// <summary>True: IPv6 makes no link-local address by itself (IN6_ADDR_GEN_MODE_NONE).</summary>
    public bool NoGeneratedAddresses { get; init; }
}
