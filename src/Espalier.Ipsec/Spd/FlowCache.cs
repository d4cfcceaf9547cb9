using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Spd;

/// <summary>
/// One worker's memory of what the SPD said of its latest flows: a table of fixed size in which each flow has one place, so that a look-up costs one
/// comparison however many policies and shapes of selector there are. What was found before the SPD last changed is not used.
/// </summary>
public sealed class FlowCache
{
    private const int Places = 256;

    private readonly SecurityPolicyDatabase _spd;
    private readonly Found[] _places = new Found[Places];

    /// <summary>Creates an empty cache.</summary>
    public FlowCache(SecurityPolicyDatabase spd)
    {
        ArgumentNullException.ThrowIfNull(spd);
        _spd = spd;
        Array.Fill(_places, new Found { Generation = -1 });
    }

    /// <summary>What <see cref="SecurityPolicyDatabase.Lookup"/> says. In a batch of the worker that owns the cache; allocates nothing.</summary>
    public PolicyVerdict Lookup(in FlowKey flow, PolicyDirection direction, out SecurityPolicy? policy)
    {
        ref var place = ref _places[PlaceOf(flow)];
        if (place.Generation != _spd.Generation || place.Direction != direction || !Same(place.Flow, flow))
        {
            place.Verdict = _spd.Lookup(flow, direction, out place.Policy);
            place.Flow = flow;
            place.Direction = direction;
            place.Generation = _spd.Generation;
        }

        policy = place.Policy;
        return place.Verdict;
    }

    // The high half of a product depends on all bits below it.
    private static int PlaceOf(in FlowKey flow)
    {
        const ulong Odd = 0x9E37_79B9_7F4A_7C15;
        ulong mixed = (Fold(flow.Source) * Odd) ^ Fold(flow.Destination)
            ^ ((ulong)flow.SourcePort << 48) ^ ((ulong)flow.DestinationPort << 24) ^ flow.Protocol;
        return (int)((mixed * Odd) >> 56);
    }

    private static ulong Fold(InternetAddress address) => (ulong)address.Bits ^ (ulong)(address.Bits >> 64);

    private static bool Same(in FlowKey left, in FlowKey right) =>
        left.Source.Bits == right.Source.Bits && left.Destination.Bits == right.Destination.Bits
        && left.SourcePort == right.SourcePort && left.DestinationPort == right.DestinationPort
        && left.Protocol == right.Protocol && left.PortsKnown == right.PortsKnown
        && left.Source.Version == right.Source.Version && left.Destination.Version == right.Destination.Version;

    private struct Found
    {
        public FlowKey Flow;
        public SecurityPolicy? Policy;
        public long Generation;
        public PolicyDirection Direction;
        public PolicyVerdict Verdict;
    }
}
