namespace Espalier.Ipsec.Sad;

/// <summary>Which chain of a <see cref="SadLinks"/>.</summary>
internal enum SaChainKind : byte
{
    /// <summary>Same outer destination and reqid.</summary>
    ByDestination,

    /// <summary>Same reqid and family.</summary>
    ByReqId,

    /// <summary>Larval with the same key manager sequence number.</summary>
    BySequence,

    /// <summary>Larval with SPI 0 for the same addresses and reqid.</summary>
    Acquiring,
}

/// <summary>The places of one SA in the SAD's indexes, so that it is taken out of each without a search. Owned by the control thread.</summary>
internal sealed class SadLinks(InsertionOrder<SecurityAssociation>.Node order)
{
    public readonly InsertionOrder<SecurityAssociation>.Node Order = order;
    public Place ByDestination;
    public Place ByReqId;
    public Place BySequence;
    public Place Acquiring;

    /// <summary>A place in a chain.</summary>
    internal struct Place
    {
        public SaChain? Chain;
        public SecurityAssociation? Previous;
        public SecurityAssociation? Next;
    }

    public ref Place this[SaChainKind kind]
    {
        get
        {
            switch (kind)
            {
                case SaChainKind.ByDestination:
                    return ref ByDestination;
                case SaChainKind.ByReqId:
                    return ref ByReqId;
                case SaChainKind.BySequence:
                    return ref BySequence;
                default:
                    return ref Acquiring;
            }
        }
    }
}

/// <summary>A doubly linked chain of SAs that share a key of an index, linked through their <see cref="SadLinks"/>.</summary>
internal sealed class SaChain(SaChainKind kind)
{
    public SecurityAssociation? First { get; private set; }

    public SecurityAssociation? Last { get; private set; }

    public static void AddTo<TKey>(Dictionary<TKey, SaChain> index, TKey key, SecurityAssociation sa, SaChainKind kind)
        where TKey : notnull =>
        ChainOf(index, key, kind).InsertAfter(ChainOf(index, key, kind).Last, sa);

    /// <summary>Adds it before the first that is not newer, so that the newest, and among equals the latest added, is met first.</summary>
    public static void AddNewestFirst<TKey>(Dictionary<TKey, SaChain> index, TKey key, SecurityAssociation sa, SaChainKind kind)
        where TKey : notnull
    {
        var chain = ChainOf(index, key, kind);
        SecurityAssociation? before = null;
        for (var next = chain.First; next is not null && next.Usage.AddTime > sa.Usage.AddTime; next = next.Links![kind].Next)
        {
            before = next;
        }

        chain.InsertAfter(before, sa);
    }

    public static void RemoveFrom<TKey>(Dictionary<TKey, SaChain> index, TKey key, SecurityAssociation sa, SaChainKind kind)
        where TKey : notnull
    {
        if (sa.Links![kind].Chain is { } chain)
        {
            chain.Unlink(sa);
            if (chain.First is null)
            {
                index.RemoveAndShrink(key);
            }
        }
    }

    private static SaChain ChainOf<TKey>(Dictionary<TKey, SaChain> index, TKey key, SaChainKind kind)
        where TKey : notnull
    {
        ref var chain = ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(index, key, out _);
        return chain ??= new SaChain(kind);
    }

    private void InsertAfter(SecurityAssociation? previous, SecurityAssociation sa)
    {
        ref var place = ref sa.Links![kind];
        place.Chain = this;
        place.Previous = previous;
        place.Next = previous is null ? First : previous.Links![kind].Next;
        if (previous is null)
        {
            First = sa;
        }
        else
        {
            previous.Links![kind].Next = sa;
        }

        if (place.Next is { } next)
        {
            next.Links![kind].Previous = sa;
        }
        else
        {
            Last = sa;
        }
    }

    private void Unlink(SecurityAssociation sa)
    {
        ref var place = ref sa.Links![kind];
        if (place.Previous is { } previous)
        {
            previous.Links![kind].Next = place.Next;
        }
        else
        {
            First = place.Next;
        }

        if (place.Next is { } next)
        {
            next.Links![kind].Previous = place.Previous;
        }
        else
        {
            Last = place.Previous;
        }

        place = default;
    }
}
