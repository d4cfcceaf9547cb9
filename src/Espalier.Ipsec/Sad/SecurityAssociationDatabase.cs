using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Sad;

/// <summary>
/// The SAD. Changed only while the workers are frozen (<see cref="IpsecDatabase.Freeze"/>), read by workers in a batch.
/// Finding, adding, removing and resolving cost the same however many SAs there are.
/// </summary>
public sealed class SecurityAssociationDatabase
{
    private readonly Dictionary<SaIdentity, SecurityAssociation> byIdentity = [];
    private readonly Dictionary<uint, SaChain> larvalBySequence = [];
    private readonly Dictionary<(InternetAddress Source, InternetAddress Destination, uint ReqId), SaChain> acquiring = [];
    private readonly InsertionOrder<SecurityAssociation> order = [];
    private readonly OutboundIndex outbound = new();

    /// <summary>Number of SAs, larval ones included.</summary>
    public int Count => order.Count;

    /// <summary>
    /// All SAs in order of insertion. An enumeration may go on after changes, also in a later freeze: it does not see what was removed.
    /// </summary>
    public IEnumerable<SecurityAssociation> All => order;

    /// <summary>Changes whenever an SA is added, removed, turns dying or changes state: what caches compare.</summary>
    public long Generation { get; private set; }

    /// <summary>Raised on the control thread, workers frozen, after an SA was added.</summary>
    public event Action<SecurityAssociation>? Added;

    /// <summary>Raised on the control thread, workers frozen, after an SA was removed and before it is disposed.</summary>
    public event Action<SecurityAssociation>? Removed;

    /// <summary>Raised on the control thread, workers frozen, after an SA that is in it was given other UDP ports.</summary>
    public event Action<SecurityAssociation>? PortsChanged;

    /// <summary>The SA of an inbound packet, or null. Allocates nothing.</summary>
    public SecurityAssociation? Find(SaIdentity identity) => byIdentity.GetValueOrDefault(identity);

    /// <summary>
    /// The SA for a packet under a protecting policy, chosen as the kernel's xfrm_state_find does: addresses, mode, SPI and reqid of the
    /// template equal the SA's, the SA's own selector covers the flow, Valid; a not dying one first, then the newest.
    /// Uses and fills the policy's cache. Null: none, so ACQUIRE. Allocates nothing.
    /// </summary>
    public SecurityAssociation? Resolve(SecurityPolicy policy, in FlowKey flow)
    {
        ArgumentNullException.ThrowIfNull(policy);
        if (!policy.Protects)
        {
            return null;
        }

        if (policy.CachedGeneration == Generation
            && (policy.CachedSa is not { } cached || (cached.State == SaState.Valid && cached.Dying == policy.CachedDying)))
        {
            return policy.CachedSa;
        }

        var template = policy.Templates[0];
        bool cacheable = true;
        var best = template.Spi.Value != 0 && !template.Destination.IsUnspecified
            ? FindBySpi(template, policy.Selector, flow, ref cacheable)
            : outbound.Find(template, policy.Selector, flow, ref cacheable);
        if (!cacheable)
        {
            policy.CachedGeneration = -1;
            return best;
        }

        // In this order: several workers may read and fill the cache at once, and whichever SA of this generation stands in it is checked when it is used.
        policy.CachedDying = best is { Dying: true };
        policy.CachedSa = best;
        policy.CachedGeneration = Generation;
        return best;
    }

    /// <summary>A larval SA (SPI 0) that an ACQUIRE made for this template and these addresses, or null. Allocates nothing.</summary>
    public SecurityAssociation? FindAcquiring(InternetAddress source, InternetAddress destination, uint reqId, IpsecMode mode)
    {
        var sa = acquiring.GetValueOrDefault((source, destination, reqId))?.First;
        while (sa is not null && sa.Mode != mode)
        {
            sa = sa.Links!.Acquiring.Next;
        }

        return sa;
    }

    /// <summary>A larval SA by its key manager sequence number, or null. The oldest, where there are several.</summary>
    public SecurityAssociation? FindLarval(uint keyManagerSequence)
    {
        for (var sa = larvalBySequence.GetValueOrDefault(keyManagerSequence)?.First; sa is not null; sa = sa.Links!.BySequence.Next)
        {
            if (sa.State == SaState.Larval)
            {
                return sa;
            }
        }

        return null;
    }

    /// <summary>Adds an SA; false if its identity is taken. Larval SAs of an ACQUIRE (SPI 0) do not collide.</summary>
    /// <exception cref="InvalidOperationException">The SA is in a SAD already, or was disposed.</exception>
    public bool TryAdd(SecurityAssociation association)
    {
        ArgumentNullException.ThrowIfNull(association);
        if (association.Links is not null || association.State == SaState.Dead)
        {
            throw new InvalidOperationException("The SA is in a SAD already, or was disposed.");
        }

        if (association.Id.Spi.Value != 0 && !byIdentity.TryAdd(association.Id, association))
        {
            return false;
        }

        association.Links = new SadLinks(order.AddLast(association));
        outbound.Add(association);
        if (association.State == SaState.Larval)
        {
            AddLarval(association);
        }

        Generation++;
        Added?.Invoke(association);
        return true;
    }

    /// <summary>Removes an SA and disposes it; false if it is not there.</summary>
    public bool Remove(SecurityAssociation association)
    {
        ArgumentNullException.ThrowIfNull(association);
        if (association.Links is not { } links || links.Order.Owner != order)
        {
            return false;
        }

        order.Remove(links.Order);
        outbound.Remove(association);
        if (association.Id.Spi.Value != 0)
        {
            byIdentity.RemoveAndShrink(association.Id);
        }

        RemoveLarval(association);
        association.Links = null;
        Generation++;
        Removed?.Invoke(association);
        association.Dispose();
        return true;
    }

    /// <summary>To be called when an SA's State or Dying changes.</summary>
    public void Touch() => Generation++;

    /// <summary>To be called when the UDP ports of an SA that is in it have changed.</summary>
    public void NotifyPortsChanged(SecurityAssociation association) => PortsChanged?.Invoke(association);

    private void AddLarval(SecurityAssociation association)
    {
        if (association.KeyManagerSequence != 0)
        {
            SaChain.AddTo(larvalBySequence, association.KeyManagerSequence, association, SaChainKind.BySequence);
        }

        if (association.Id.Spi.Value == 0)
        {
            SaChain.AddTo(acquiring, KeyOf(association), association, SaChainKind.Acquiring);
        }
    }

    private void RemoveLarval(SecurityAssociation association)
    {
        SaChain.RemoveFrom(larvalBySequence, association.KeyManagerSequence, association, SaChainKind.BySequence);
        SaChain.RemoveFrom(acquiring, KeyOf(association), association, SaChainKind.Acquiring);
    }

    private static (InternetAddress Source, InternetAddress Destination, uint ReqId) KeyOf(SecurityAssociation association) =>
        (association.Source, association.Id.Destination, association.ReqId);

    private SecurityAssociation? FindBySpi(PolicyTemplate template, in TrafficSelector policySelector, in FlowKey flow, ref bool cacheable) =>
        Find(new SaIdentity(template.Spi, template.Destination)) is { } sa && OutboundIndex.Fits(sa, template)
            && OutboundIndex.Covers(sa, policySelector, flow, ref cacheable) ? sa : null;
}
