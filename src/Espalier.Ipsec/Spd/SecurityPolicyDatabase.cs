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
    /// <summary>Number of policies in a direction.</summary>
    public int Count(PolicyDirection direction) => throw new NotImplementedException();

    /// <summary>All policies in order of insertion.</summary>
    public IEnumerable<SecurityPolicy> Policies => throw new NotImplementedException();

    /// <summary>Default per direction for packets without a policy (XFRM_MSG_SETDEFAULT); true = block. Index by <see cref="PolicyDirection"/>.</summary>
    public bool[] DefaultBlocks { get; } = new bool[3];

    /// <summary>Raised on the control thread, workers frozen, after a policy was added.</summary>
    public event Action<SecurityPolicy>? Added;

    /// <summary>Raised on the control thread, workers frozen, after a policy was removed.</summary>
    public event Action<SecurityPolicy>? Removed;

    /// <summary>The policy with exactly this selector and direction, or null.</summary>
    public SecurityPolicy? Find(in TrafficSelector selector, PolicyDirection direction) => throw new NotImplementedException();

    /// <summary>The policy with this index and direction, or null.</summary>
    public SecurityPolicy? FindByIndex(uint index, PolicyDirection direction) => throw new NotImplementedException();

    /// <summary>Adds a policy, gives it an index if it has none; false if one with the same selector and direction exists.</summary>
    public bool TryAdd(SecurityPolicy policy) => throw new NotImplementedException();

    /// <summary>Adds a policy or puts it in the place (index, order among equals) of the one with the same selector and direction.</summary>
    public void AddOrReplace(SecurityPolicy policy) => throw new NotImplementedException();

    /// <summary>Removes a policy; false if it is not there.</summary>
    public bool Remove(SecurityPolicy policy) => throw new NotImplementedException();

    /// <summary>The policy that decides about a packet. Allocates nothing.</summary>
    public PolicyVerdict Lookup(in FlowKey flow, PolicyDirection direction, out SecurityPolicy? policy) => throw new NotImplementedException();

    /// <summary>Raises nothing; keeps the events referenced until the implementation stands.</summary>
    internal void Raise(SecurityPolicy policy, bool added) => (added ? Added : Removed)?.Invoke(policy);

    internal static IpVersion VersionOf(SecurityPolicy policy) => policy.Selector.Version;
}
