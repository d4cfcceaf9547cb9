using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Spd;

/// <summary>
/// The policies of one direction and family in groups of equal selector shape. A look-up probes each group once, best priority first, and stops
/// when no group left can hold a better policy. Changed by the control thread, workers frozen; read by workers in a batch.
/// </summary>
internal sealed class PolicyTable(IpVersion version)
{
    private readonly Dictionary<SelectorShape, SelectorGroup> byShape = [];

    // Sorted by best priority.
    private readonly List<SelectorGroup> groups = [];

    public void Add(SpdEntry entry)
    {
        var shape = SelectorShape.Of(entry.Policy.Selector);
        if (!byShape.TryGetValue(shape, out var group))
        {
            group = new SelectorGroup(shape, version);
            byShape.Add(shape, group);
            groups.Add(group);
        }

        group.Add(entry);
        Settle(group);
    }

    /// <summary>The entry with exactly this selector, or null.</summary>
    public SpdEntry? Find(in TrafficSelector selector) =>
        byShape.TryGetValue(SelectorShape.Of(selector), out var group) ? group.Find(selector) : null;

    public void Remove(SpdEntry entry)
    {
        var group = entry.Group!;
        group.Remove(entry);
        if (group.IsEmpty)
        {
            byShape.Remove(group.Shape);
            groups.Remove(group);
        }
        else
        {
            Settle(group);
        }
    }

    public PolicyVerdict Lookup(in FlowKey flow, out SecurityPolicy? policy)
    {
        SpdEntry? best = null;
        bool bestNeedsPorts = false;
        foreach (var group in groups)
        {
            if (best is not null && group.BestPriority > best.Policy.Priority)
            {
                break;
            }

            // RFC 4301 §7: a selector with ports cannot be decided without them.
            bool needsPorts = !flow.PortsKnown && group.HasPorts;
            var entry = needsPorts ? group.FindIgnoringPorts(flow) : group.Find(flow);
            if (entry is not null && (best is null || entry.Precedes(best)))
            {
                best = entry;
                bestNeedsPorts = needsPorts;
            }
        }

        policy = bestNeedsPorts ? null : best?.Policy;
        return best is null ? PolicyVerdict.None : bestNeedsPorts ? PolicyVerdict.PortsNeeded : PolicyVerdict.Found;
    }

    private void Settle(SelectorGroup group)
    {
        int at = groups.IndexOf(group);
        for (; at > 0 && groups[at - 1].BestPriority > group.BestPriority; at--)
        {
            groups[at] = groups[at - 1];
        }

        for (; at + 1 < groups.Count && groups[at + 1].BestPriority < group.BestPriority; at++)
        {
            groups[at] = groups[at + 1];
        }

        groups[at] = group;
    }
}
