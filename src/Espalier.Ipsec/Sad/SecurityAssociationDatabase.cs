using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Sad;

/// <summary>
/// The SAD. Changed only while the workers are frozen (<see cref="IpsecDatabase.Freeze"/>), read by workers in a batch.
/// </summary>
public sealed class SecurityAssociationDatabase
{
    /// <summary>Number of SAs, larval ones included.</summary>
    public int Count => throw new NotImplementedException();

    /// <summary>All SAs in order of insertion.</summary>
    public IEnumerable<SecurityAssociation> All => throw new NotImplementedException();

    /// <summary>Changes whenever an SA is added, removed, turns dying or changes state: what caches compare.</summary>
    public long Generation => throw new NotImplementedException();

    /// <summary>Raised on the control thread, workers frozen, after an SA was added.</summary>
    public event Action<SecurityAssociation>? Added;

    /// <summary>Raised on the control thread, workers frozen, after an SA was removed and before it is disposed.</summary>
    public event Action<SecurityAssociation>? Removed;

    /// <summary>The SA of an inbound packet, or null. Allocates nothing.</summary>
    public SecurityAssociation? Find(SaIdentity identity) => throw new NotImplementedException();

    /// <summary>
    /// The SA for a packet under a protecting policy, chosen as the kernel's xfrm_state_find does: addresses, mode, SPI and reqid of the
    /// template equal the SA's, the SA's own selector covers the flow, Valid; a not dying one first, then the newest.
    /// Uses and fills the policy's cache. Null: none, so ACQUIRE. Allocates nothing.
    /// </summary>
    public SecurityAssociation? Resolve(SecurityPolicy policy, in FlowKey flow) => throw new NotImplementedException();

    /// <summary>A larval SA (SPI 0) that an ACQUIRE made for this template and these addresses, or null.</summary>
    public SecurityAssociation? FindAcquiring(InternetAddress source, InternetAddress destination, uint reqId) => throw new NotImplementedException();

    /// <summary>A larval SA by its key manager sequence number, or null.</summary>
    public SecurityAssociation? FindLarval(uint keyManagerSequence) => throw new NotImplementedException();

    /// <summary>Adds an SA; false if its identity is taken. Larval SAs of an ACQUIRE (SPI 0) do not collide.</summary>
    public bool TryAdd(SecurityAssociation association) => throw new NotImplementedException();

    /// <summary>Removes an SA and disposes it; false if it is not there.</summary>
    public bool Remove(SecurityAssociation association) => throw new NotImplementedException();

    /// <summary>To be called when an SA's State or Dying changes.</summary>
    public void Touch() => throw new NotImplementedException();

    internal void Raise(SecurityAssociation association, bool added) => (added ? Added : Removed)?.Invoke(association);
}
