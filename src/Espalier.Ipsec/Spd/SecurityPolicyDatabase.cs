using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Spd;

/// <summary>What a look-up found for a packet.</summary>
public enum PolicyVerdict : byte
{
    /// <summary>No policy covers the packet: the default of its direction decides.</summary>
    None,

    /// <summary>The policy decides.</summary>
    Found,

    /// <summary>A policy with ports would decide, and the packet's ports are not known (RFC 4301 §7).</summary>
    PortsNeeded,
}

/// <summary>
/// The SPD. Changed only while the workers are frozen (<see cref="IpsecDatabase.Freeze"/>), read by workers in a batch, so nothing in it locks.
/// Smaller priority wins; among equals the older entry. The cost of a look-up depends on the number of distinct selector shapes, not of policies.
/// </summary>
public sealed class SecurityPolicyDatabase
{
    // The kernel's idx_generator: indexes are 8 apart, the low three bits are the direction.
    private const uint IndexStep = 8;

    private readonly PolicyTable[] tables;
    private readonly Dictionary<uint, SpdEntry> byIndex = [];
    private readonly InsertionOrder<SecurityPolicy> order = [];
    private readonly int[] counts = new int[3];
    private long nextAge;
    private uint nextIndex;

    /// <summary>Creates an empty SPD.</summary>
    public SecurityPolicyDatabase()
    {
        tables = new PolicyTable[6];
        for (int i = 0; i < tables.Length; i++)
        {
            tables[i] = new PolicyTable(i % 2 == 0 ? IpVersion.IPv4 : IpVersion.IPv6);
        }
    }

    /// <summary>Number of policies in a direction.</summary>
    public int Count(PolicyDirection direction) => counts[(int)direction];

    /// <summary>
    /// All policies in order of insertion. An enumeration may go on after changes, also in a later freeze: it does not see what was removed.
    /// </summary>
    public IEnumerable<SecurityPolicy> Policies => order;

    /// <summary>Default per direction for packets without a policy (XFRM_MSG_SETDEFAULT); true = block. Index by <see cref="PolicyDirection"/>.</summary>
    public bool[] DefaultBlocks { get; } = new bool[3];

    /// <summary>Changes whenever a policy is added or removed: what caches compare.</summary>
    public long Generation { get; private set; }

    /// <summary>Raised on the control thread, workers frozen, after a policy was added.</summary>
    public event Action<SecurityPolicy>? Added;

    /// <summary>Raised on the control thread, workers frozen, after a policy was removed.</summary>
    public event Action<SecurityPolicy>? Removed;

    /// <summary>The policy with exactly this selector and direction, or null.</summary>
    public SecurityPolicy? Find(in TrafficSelector selector, PolicyDirection direction) =>
        selector.Version == IpVersion.None ? null : TableOf(direction, selector.Version).Find(selector)?.Policy;

    /// <summary>The policy with this index and direction, or null.</summary>
    public SecurityPolicy? FindByIndex(uint index, PolicyDirection direction) =>
        byIndex.TryGetValue(index, out var entry) && entry.Policy.Direction == direction ? entry.Policy : null;

    /// <summary>
    /// Adds a policy; false if one with the same selector and direction exists. It keeps its index if that is free and fits the direction,
    /// else it is given one.
    /// </summary>
    /// <exception cref="ArgumentException">The selector has no version, or two.</exception>
    /// <exception cref="InvalidOperationException">The policy is in an SPD already.</exception>
    public bool TryAdd(SecurityPolicy policy)
    {
        Validate(policy);
        if (Find(policy.Selector, policy.Direction) is not null)
        {
            return false;
        }

        policy.Index = FreeIndex(policy.Direction, policy.Index);
        Insert(policy, nextAge++);
        return true;
    }

    /// <summary>
    /// Adds a policy, or puts it in the place of the one with the same selector and direction: it takes over the index, and with the same priority also
    /// the order among equals; with another priority it is the newest among its new equals, as in the kernel.
    /// Raises <see cref="Removed"/> for the old one, then <see cref="Added"/>.
    /// </summary>
    /// <exception cref="ArgumentException">The selector has no version, or two.</exception>
    /// <exception cref="InvalidOperationException">The policy is in an SPD already.</exception>
    public void AddOrReplace(SecurityPolicy policy)
    {
        Validate(policy);
        if (Find(policy.Selector, policy.Direction) is not { } old)
        {
            TryAdd(policy);
            return;
        }

        policy.Index = old.Index;
        long age = old.Priority == policy.Priority ? old.Entry!.Age : nextAge++;
        Remove(old);
        Insert(policy, age);
    }

    /// <summary>Removes a policy; false if it is not there.</summary>
    public bool Remove(SecurityPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        if (policy.Entry is not { } entry || entry.Order!.Owner != order)
        {
            return false;
        }

        TableOf(policy.Direction, policy.Selector.Version).Remove(entry);
        order.Remove(entry.Order);
        byIndex.RemoveAndShrink(policy.Index);
        counts[(int)policy.Direction]--;
        policy.Entry = null;
        policy.CachedSa = null;
        policy.CachedGeneration = -1;
        Generation++;
        Removed?.Invoke(policy);
        return true;
    }

    /// <summary>The policy that decides about a packet. Allocates nothing.</summary>
    public PolicyVerdict Lookup(in FlowKey flow, PolicyDirection direction, out SecurityPolicy? policy)
    {
        if (flow.Destination.Version == IpVersion.None || flow.Source.Version != flow.Destination.Version)
        {
            policy = null;
            return PolicyVerdict.None;
        }

        return TableOf(direction, flow.Destination.Version).Lookup(flow, out policy);
    }

    private static void Validate(SecurityPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        if (policy.Entry is not null)
        {
            throw new InvalidOperationException("The policy is in an SPD already.");
        }

        var selector = policy.Selector;
        if (selector.Version == IpVersion.None || selector.Source.Version != selector.Version
            || !IsLength(selector.Source) || !IsLength(selector.Destination))
        {
            throw new ArgumentException("A policy's selector needs two prefixes of one IP version.", nameof(policy));
        }

        static bool IsLength(AddressPrefix prefix) => prefix.Length >= 0 && prefix.Length <= prefix.Address.BitLength;
    }

    private void Insert(SecurityPolicy policy, long age)
    {
        var entry = new SpdEntry(policy, age) { Order = order.AddLast(policy) };
        policy.Entry = entry;
        byIndex.Add(policy.Index, entry);
        TableOf(policy.Direction, policy.Selector.Version).Add(entry);
        counts[(int)policy.Direction]++;
        Generation++;
        Added?.Invoke(policy);
    }

    private uint FreeIndex(PolicyDirection direction, uint wanted)
    {
        if (wanted != 0 && (wanted & (IndexStep - 1)) == (uint)direction && !byIndex.ContainsKey(wanted))
        {
            return wanted;
        }

        while (true)
        {
            uint index = nextIndex | (uint)direction;
            unchecked
            {
                nextIndex += IndexStep;
            }

            index = index == 0 ? IndexStep : index;
            if (!byIndex.ContainsKey(index))
            {
                return index;
            }
        }
    }

    private PolicyTable TableOf(PolicyDirection direction, IpVersion version) => tables[((int)direction * 2) + (version == IpVersion.IPv4 ? 0 : 1)];
}
