using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Sad;

/// <summary>
/// Finds the SA for a template, as the kernel's xfrm_state_find and xfrm_state_look_at do. Chains by destination and reqid, and by family and
/// reqid for templates without a destination; each stands newest first, so that the first that fits and is not dying is the answer.
/// </summary>
internal sealed class OutboundIndex
{
    private readonly Dictionary<(InternetAddress Destination, uint ReqId), SaChain> byDestination = [];
    private readonly Dictionary<(IpVersion Family, uint ReqId), SaChain> byReqId = [];

    public void Add(SecurityAssociation sa)
    {
        SaChain.AddNewestFirst(byDestination, (sa.Id.Destination, sa.ReqId), sa, SaChainKind.ByDestination);
        SaChain.AddNewestFirst(byReqId, (sa.Id.Destination.Version, sa.ReqId), sa, SaChainKind.ByReqId);
    }

    public void Remove(SecurityAssociation sa)
    {
        SaChain.RemoveFrom(byDestination, (sa.Id.Destination, sa.ReqId), sa, SaChainKind.ByDestination);
        SaChain.RemoveFrom(byReqId, (sa.Id.Destination.Version, sa.ReqId), sa, SaChainKind.ByReqId);
    }

    /// <summary>The SA for a flow under a template; <paramref name="cacheable"/> turns false where another flow of the policy may get another answer.</summary>
    public SecurityAssociation? Find(PolicyTemplate template, in TrafficSelector policySelector, in FlowKey flow, ref bool cacheable)
    {
        bool anyDestination = template.Destination.IsUnspecified;
        var kind = anyDestination ? SaChainKind.ByReqId : SaChainKind.ByDestination;
        var chain = anyDestination
            ? byReqId.GetValueOrDefault((template.Family, template.ReqId))
            : byDestination.GetValueOrDefault((template.Destination, template.ReqId));
        SecurityAssociation? dying = null;
        for (var sa = chain?.First; sa is not null; sa = sa.Links![kind].Next)
        {
            if (Fits(sa, template) && Covers(sa, policySelector, flow, ref cacheable))
            {
                if (!sa.Dying)
                {
                    return sa;
                }

                dying ??= sa;
            }
        }

        return dying;
    }

    /// <summary>
    /// True where the SA is Valid and is what the template asks for. A source that is unspecified on either side fits any; the reqid is exact;
    /// SAs with the wildrecv flag, or whose direction was given as in, are for receiving only (as in xfrm_state_find and xfrm_tmpl_resolve_one).
    /// </summary>
    public static bool Fits(SecurityAssociation sa, PolicyTemplate template) =>
        sa.State == SaState.Valid
        && sa.ReqId == template.ReqId
        && sa.Mode == template.Mode
        && (sa.Flags & SaFlags.WildcardReceive) == 0
        && sa.SaDirection != SecurityAssociation.DirectionIn
        && (template.Spi.Value == 0 || template.Spi == sa.Id.Spi)
        && (template.Destination.IsUnspecified || template.Destination == sa.Id.Destination)
        && (template.Source.IsUnspecified || sa.Source.IsUnspecified || template.Source == sa.Source)
        && (template.Family == IpVersion.None || template.Family == sa.Id.Destination.Version);

    /// <summary>True where the SA's own selector, if it has one, covers the flow.</summary>
    public static bool Covers(SecurityAssociation sa, in TrafficSelector policySelector, in FlowKey flow, ref bool cacheable)
    {
        if (sa.Selector.Version == IpVersion.None)
        {
            return true;
        }

        cacheable &= sa.Selector.Contains(policySelector) || !sa.Selector.Overlaps(policySelector);
        return sa.Selector.Matches(flow);
    }
}
