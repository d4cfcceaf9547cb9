namespace Espalier.Routing.Guard;

/// <summary>One of the protections that nftables give: on, or off and why.</summary>
public readonly record struct Protection(bool IsActive, string? Reason)
{
    /// <inheritdoc/>
    public override string ToString() => IsActive ? "on" : $"off: {Reason}";
}

/// <summary>What the guard does. Immutable.</summary>
/// <param name="Clear">Packets in clear that a policy protects are dropped and counted, on arrival and on departure.</param>
/// <param name="Arrival">Packets to this host pass strict rp_filter although the route to their source leads into the TUN.</param>
/// <param name="Neighbors">The same for ARP.</param>
public sealed record GuardStatus(Protection Clear, Protection Arrival, Protection Neighbors)
{
    /// <summary>Before the start.</summary>
    public static GuardStatus NotStarted { get; } = AllOff("not started");

    /// <summary>Nothing is on, for one reason.</summary>
    internal static GuardStatus AllOff(string reason) => new(new Protection(false, reason), new Protection(false, reason), new Protection(false, reason));
}

/// <summary>Packets that the guard dropped because they were in clear.</summary>
/// <param name="Inbound">To this host: a policy of direction in covers them.</param>
/// <param name="Forwarded">Through this host: a policy of direction fwd.</param>
/// <param name="Outbound">About to leave in clear although a policy of direction out covers them.</param>
public readonly record struct GuardCounters(long Inbound, long Forwarded, long Outbound);
