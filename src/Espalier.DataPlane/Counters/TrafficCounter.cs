namespace Espalier.DataPlane.Counters;

/// <summary>What a worker counts besides drops. Each is a sum since start.</summary>
public enum TrafficCounter : byte
{
    /// <summary>Packets read from the TUN.</summary>
    TunPacketsRead,

    /// <summary>ESP packets that the kernel took.</summary>
    OutboundPackets,

    /// <summary>Bytes of ESP packets that the kernel took, from the SPI to the ICV.</summary>
    OutboundBytes,

    /// <summary>Datagrams read from outer sockets, whatever they were.</summary>
    OuterPacketsRead,

    /// <summary>Packets that were opened, passed every check and were written to the TUN.</summary>
    InboundPackets,

    /// <summary>Bytes of the inner packets of <see cref="InboundPackets"/>.</summary>
    InboundBytes,

    /// <summary>Packets sent on in clear: an allow policy without template, or no policy.</summary>
    BypassedPackets,

    /// <summary>Bytes of <see cref="BypassedPackets"/>.</summary>
    BypassedBytes,

    /// <summary>NAT keepalives received (RFC 3948 §4); not drops.</summary>
    Keepalives,

    /// <summary>What came to an IKE daemon's port and is not ESP, given to the daemon's own socket.</summary>
    IkeRelayed,

    /// <summary>ICMP errors about what an IKE daemon sent, given to its own socket.</summary>
    IkeErrorsRelayed,

    /// <summary>ICMP errors about what an IKE daemon sent that could not be given to its socket.</summary>
    IkeErrorsLost,

    /// <summary>Inner IPv4 packets that were cut into fragments before ESP.</summary>
    FragmentedPackets,

    /// <summary>Fragments made of <see cref="FragmentedPackets"/>.</summary>
    FragmentsCreated,

    /// <summary>ICMP errors sent for packets too large for a tunnel.</summary>
    IcmpErrorsSent,

    /// <summary>ICMP errors not sent: by rate, because the packet may not cause one (RFC 1122 §3.2.2, RFC 4443 §2.4), or refused by the kernel.</summary>
    IcmpErrorsWithheld,

    /// <summary>Unusual ECN combinations that RFC 6040 §4.2 asks to be noticed (the packet passed).</summary>
    EcnAlerts,

    /// <summary>Authentic packets whose padding is not 1, 2, 3 … (RFC 4303 §2.4; the packet passed).</summary>
    UnusualPadding,

    /// <summary>ICMP errors from the error queues that quote a packet of ours and gave a smaller path MTU.</summary>
    PathMtuLearnt,

    /// <summary>ICMP errors from the error queues that quote no packet of ours, or say nothing about a path MTU.</summary>
    IcmpErrorsIgnored,

    /// <summary>ACQUIRE events posted.</summary>
    AcquiresPosted,

    /// <summary>MAPPING events posted.</summary>
    MappingsPosted,

    /// <summary>Rounds in which a worker found no free batch and left the packets in the kernel's queue.</summary>
    BatchesMissing,

    /// <summary>Batches handled.</summary>
    Batches,

    /// <summary>Number of counters; not a counter.</summary>
    Count,
}
