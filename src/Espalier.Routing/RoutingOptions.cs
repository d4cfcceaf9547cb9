namespace Espalier.Routing;

/// <summary>
/// How Espalier steers packets into its TUN. Two instances in one network namespace differ in TUN, <see cref="Tables"/>, <see cref="Priorities"/> and
/// <see cref="Marks"/>.
/// </summary>
public sealed record RoutingOptions
{
    /// <summary>Default of <see cref="Table"/>.</summary>
    public const uint DefaultTable = 4550;

    /// <summary>Default of <see cref="RulePriority"/>: before charon's table 220, which has priority 220.</summary>
    public const uint DefaultRulePriority = 210;

    /// <summary>Default of <see cref="Mark"/>.</summary>
    public const uint DefaultMark = 0x4550;

    /// <summary>Default of <see cref="Protocol"/>.</summary>
    public const byte DefaultProtocol = 69;

    /// <summary>Largest <see cref="RulePriority"/>: all rules must stand before that of the main table, 32766.</summary>
    public const uint LargestRulePriority = 32_765 - RulePriorities + 1;

    private const uint Distance = 0x10000;

    /// <summary>Priorities in use, from <see cref="RulePriority"/> on.</summary>
    public const uint RulePriorities = 5;

    /// <summary>Metric of the routes into the TUN.</summary>
    internal const uint TunnelMetric = 10;

    /// <summary>Metric of the routes between them that IPv6 needs in the second table.</summary>
    internal const uint DeadEndMetric = 9_000;

    /// <summary>Metric of the unreachable routes behind them.</summary>
    internal const uint UnreachableMetric = 10_000;

    /// <summary>Name of the TUN.</summary>
    public required string TunnelName { get; init; }

    /// <summary>Routing table of Espalier's own: destinations of policies. Nothing else may write routes of <see cref="Protocol"/> into it.</summary>
    public uint Table { get; init; } = DefaultTable;

    /// <summary>
    /// Its second table: the same for packets that have no source address yet; each route there says which one they get. 65,536 further on
    /// (or back, where the numbers end), so that instances with neighbouring tables do not meet.
    /// </summary>
    public uint UnspecifiedSourceTable => Beside(Table, Distance);

    /// <summary>Its third table: the way back of what arrives with <see cref="RelayMark"/>. 131,072 further on, or back.</summary>
    public uint RelayTable => Beside(Table, 2 * Distance);

    /// <summary>First of the <see cref="RulePriorities"/> priorities of the routing rules.</summary>
    public uint RulePriority { get; init; } = DefaultRulePriority;

    /// <summary>Firewall mark, exact, of packets that the rules exempt: the outer packets, the IKE daemon's, and what passes in clear.</summary>
    public uint Mark { get; init; } = DefaultMark;

    /// <summary>
    /// Firewall mark of packets that arrive while the kernel looks up the way back to their source (rp_filter), and only in that look-up exempt.
    /// 0x10000 further on than <see cref="Mark"/>, or back, where the numbers end.
    /// </summary>
    public uint ArrivalMark => Beside(Mark, Distance);

    /// <summary>
    /// Firewall mark of packets that are sent into the loopback device to be delivered to a socket of this host with the source that they came from:
    /// strict rp_filter lets them pass. IPv4; IPv6 has no rp_filter. 0x20000 further on than <see cref="Mark"/>, or back.
    /// </summary>
    public uint RelayMark => Beside(Mark, 2 * Distance);

    /// <summary>RTPROT_* of all rules and routes made here.</summary>
    public byte Protocol { get; init; } = DefaultProtocol;

    /// <summary>UDP ports of this host that take IKE and encapsulated ESP in clear whatever the policies say. Those of SAs come by themselves.</summary>
    public IReadOnlyList<ushort> IkePorts { get; init; } = [500, 4500];

    /// <summary>False: no nftables.</summary>
    public bool UseGuard { get; init; } = true;

    /// <summary>All tables.</summary>
    public IReadOnlyList<uint> Tables => [Table, UnspecifiedSourceTable, RelayTable];

    /// <summary>All priorities of rules.</summary>
    public IReadOnlyList<uint> Priorities => [.. Enumerable.Range(0, (int)RulePriorities).Select(i => RulePriority + (uint)i)];

    /// <summary>All firewall marks.</summary>
    public IReadOnlyList<uint> Marks => [Mark, ArrivalMark, RelayMark];

    private static uint Beside(uint number, uint distance) => number <= uint.MaxValue - distance ? number + distance : number - distance;
}
