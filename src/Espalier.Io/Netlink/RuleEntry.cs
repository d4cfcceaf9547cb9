using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

/// <summary>What a rule does; values are the kernel's FR_ACT_*.</summary>
public enum RuleAction : byte
{
    /// <summary>Looks a table up.</summary>
    Lookup = 1,

    /// <summary>Goes on at the rule with the priority <see cref="RuleEntry.GotoPriority"/>.</summary>
    Goto = 2,

    /// <summary>Nothing: where a goto ends.</summary>
    Nop = 3,
}

/// <summary>A routing rule. Rules are tried in the order of <see cref="Priority"/>.</summary>
public readonly record struct RuleEntry(IpVersion Version, uint Priority)
{
    /// <summary>What it does.</summary>
    public RuleAction Action { get; init; } = RuleAction.Lookup;

    /// <summary>The table; kept by the kernel with the other actions too.</summary>
    public uint Table { get; init; }

    /// <summary>Where a goto goes.</summary>
    public uint GotoPriority { get; init; }

    /// <summary>Source prefix; the default value stands for any.</summary>
    public AddressPrefix Source { get; init; }

    /// <summary>Name of the interface that the packet came in by, or null for any; <c>lo</c> for look-ups that belong to no packet that came in.</summary>
    public string? InputInterface { get; init; }

    /// <summary>Firewall mark, exact, or null for any.</summary>
    public uint? Mark { get; init; }

    /// <summary>Matches what the rest does not.</summary>
    public bool Invert { get; init; }

    /// <summary>Who made it (RTPROT_*).</summary>
    public byte Protocol { get; init; }
}
