using System.Runtime.InteropServices;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Spd;

/// <summary>What selectors of one group have in common: which bits of a packet they look at.</summary>
internal readonly record struct SelectorShape(byte SourceLength, byte DestinationLength, bool AnyProtocol, ushort SourcePortMask, ushort DestinationPortMask)
{
    public static SelectorShape Of(in TrafficSelector selector) => new(
        (byte)selector.Source.Length, (byte)selector.Destination.Length, selector.Protocol == 0, selector.SourcePortMask, selector.DestinationPortMask);
}

/// <summary>The bits that a shape leaves of a packet or of a selector, all others zero.</summary>
internal readonly struct SelectorKey(UInt128 source, UInt128 destination, uint ports, byte protocol) : IEquatable<SelectorKey>
{
    private readonly UInt128 source = source;
    private readonly UInt128 destination = destination;
    private readonly uint ports = ports;
    private readonly byte protocol = protocol;

    public bool Equals(SelectorKey other) =>
        source == other.source && destination == other.destination && ports == other.ports && protocol == other.protocol;

    public override bool Equals(object? obj) => obj is SelectorKey other && Equals(other);

    public override int GetHashCode()
    {
        const ulong Odd = 0x9E3779B97F4A7C15;
        ulong hash = (ulong)source ^ ((ulong)(source >> 64) * Odd);
        hash = (ulong.RotateLeft(hash, 29) ^ (ulong)destination ^ ((ulong)(destination >> 64) * Odd)) * Odd;
        hash = (hash ^ (hash >> 32) ^ ((ulong)ports << 8) ^ protocol) * Odd;
        return (int)(hash >> 32);
    }
}

/// <summary>
/// All policies of one direction and family whose selectors have the same shape: one dictionary of masked keys, so that one probe finds the one that
/// decides among them (tuple-space search). Changed by the control thread, workers frozen.
/// </summary>
internal sealed class SelectorGroup
{
    private readonly Dictionary<SelectorKey, SpdEntry> buckets = [];
    private readonly SortedDictionary<uint, int> priorities = [];

    // For packets whose ports are unknown: by address and protocol alone. Only where the shape has ports.
    private readonly Dictionary<SelectorKey, SortedSet<SpdEntry>>? withoutPorts;
    private readonly SelectorShape shape;
    private readonly UInt128 sourceMask;
    private readonly UInt128 destinationMask;

    public SelectorGroup(SelectorShape shape, IpVersion version)
    {
        this.shape = shape;
        sourceMask = InternetAddress.MaskOf(version, shape.SourceLength);
        destinationMask = InternetAddress.MaskOf(version, shape.DestinationLength);
        withoutPorts = HasPorts ? [] : null;
    }

    public SelectorShape Shape => shape;

    public bool HasPorts => shape.SourcePortMask != 0 || shape.DestinationPortMask != 0;

    public bool IsEmpty => buckets.Count == 0;

    /// <summary>The smallest priority in the group; kept, because every look-up reads it.</summary>
    public uint BestPriority { get; private set; }

    /// <summary>The entry that decides about a flow with known ports.</summary>
    public SpdEntry? Find(in FlowKey flow) =>
        buckets.GetValueOrDefault(KeyOf(flow.Source.Bits, flow.Destination.Bits, flow.Protocol, flow.SourcePort, flow.DestinationPort));

    /// <summary>The entry that would come first, whatever the ports. Only where the shape has ports.</summary>
    public SpdEntry? FindIgnoringPorts(in FlowKey flow) =>
        withoutPorts!.TryGetValue(KeyOf(flow.Source.Bits, flow.Destination.Bits, flow.Protocol, 0, 0), out var entries) ? entries.Min : null;

    /// <summary>The entry with exactly this selector, or null: selectors may differ in bits that do not count.</summary>
    public SpdEntry? Find(in TrafficSelector selector)
    {
        var entry = buckets.GetValueOrDefault(KeyOf(selector, ports: true));
        while (entry is not null && entry.Policy.Selector != selector)
        {
            entry = entry.NextInBucket;
        }

        return entry;
    }

    public void Add(SpdEntry entry)
    {
        ref var first = ref CollectionsMarshal.GetValueRefOrAddDefault(buckets, KeyOf(entry.Policy.Selector, ports: true), out _);
        ref var place = ref first;
        while (place is not null && place.Precedes(entry))
        {
            place = ref place.NextInBucket;
        }

        entry.NextInBucket = place;
        place = entry;
        if (withoutPorts is not null)
        {
            ref var entries = ref CollectionsMarshal.GetValueRefOrAddDefault(withoutPorts, KeyOf(entry.Policy.Selector, ports: false), out _);
            (entries ??= new SortedSet<SpdEntry>(SpdPrecedence.Instance)).Add(entry);
        }

        priorities[entry.Policy.Priority] = priorities.GetValueOrDefault(entry.Policy.Priority) + 1;
        BestPriority = First(priorities);
        entry.Group = this;
    }

    public void Remove(SpdEntry entry)
    {
        var key = KeyOf(entry.Policy.Selector, ports: true);
        ref var first = ref CollectionsMarshal.GetValueRefOrNullRef(buckets, key);
        ref var place = ref first!;
        while (place != entry)
        {
            place = ref place!.NextInBucket;
        }

        place = entry.NextInBucket;
        entry.NextInBucket = null;
        if (first is null)
        {
            buckets.RemoveAndShrink(key);
        }

        if (withoutPorts is not null)
        {
            var portless = KeyOf(entry.Policy.Selector, ports: false);
            var entries = withoutPorts[portless];
            entries.Remove(entry);
            if (entries.Count == 0)
            {
                withoutPorts.RemoveAndShrink(portless);
            }
        }

        int left = priorities[entry.Policy.Priority] - 1;
        if (left == 0)
        {
            priorities.Remove(entry.Policy.Priority);
            BestPriority = priorities.Count == 0 ? uint.MaxValue : First(priorities);
        }
        else
        {
            priorities[entry.Policy.Priority] = left;
        }

        entry.Group = null;
    }

    private static uint First(SortedDictionary<uint, int> priorities)
    {
        foreach (var pair in priorities)
        {
            return pair.Key;
        }

        return uint.MaxValue;
    }

    private SelectorKey KeyOf(in TrafficSelector selector, bool ports) => KeyOf(
        selector.Source.Address.Bits, selector.Destination.Address.Bits, selector.Protocol,
        ports ? selector.SourcePort : (ushort)0, ports ? selector.DestinationPort : (ushort)0);

    private SelectorKey KeyOf(UInt128 source, UInt128 destination, byte protocol, ushort sourcePort, ushort destinationPort) => new(
        source & sourceMask, destination & destinationMask,
        ((uint)(sourcePort & shape.SourcePortMask) << 16) | (uint)(destinationPort & shape.DestinationPortMask),
        shape.AnyProtocol ? (byte)0 : protocol);
}
