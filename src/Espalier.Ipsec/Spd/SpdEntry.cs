namespace Espalier.Ipsec.Spd;

/// <summary>A policy with its places in the SPD. Owned by the control thread; workers read it in a batch.</summary>
internal sealed class SpdEntry(SecurityPolicy policy, long age)
{
    public readonly SecurityPolicy Policy = policy;

    /// <summary>Smaller = older; unique in the SPD.</summary>
    public readonly long Age = age;

    /// <summary>Its place among all policies.</summary>
    public InsertionOrder<SecurityPolicy>.Node? Order;

    /// <summary>Selectors of its shape.</summary>
    public SelectorGroup? Group;

    /// <summary>Next in the bucket of its group: same canonical selector, decides after this one.</summary>
    public SpdEntry? NextInBucket;

    /// <summary>True where this one decides before <paramref name="other"/>: smaller priority, or the same and older.</summary>
    public bool Precedes(SpdEntry other) =>
        Policy.Priority < other.Policy.Priority || (Policy.Priority == other.Policy.Priority && Age < other.Age);
}

/// <summary>The order in which policies decide.</summary>
internal sealed class SpdPrecedence : IComparer<SpdEntry>
{
    public static SpdPrecedence Instance { get; } = new();

    public int Compare(SpdEntry? x, SpdEntry? y) => x == y ? 0 : x!.Precedes(y!) ? -1 : 1;
}
