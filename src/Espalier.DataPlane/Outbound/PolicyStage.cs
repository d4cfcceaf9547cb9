using Espalier.DataPlane.Workers;
using Espalier.Ipsec;
using Espalier.Ipsec.Spd;

namespace Espalier.DataPlane.Outbound;

/// <summary>What the SPD says about a packet from the TUN.</summary>
internal enum OutboundVerdict : byte
{
    /// <summary>Drop it, with the reason given.</summary>
    Drop,

    /// <summary>Send it on in clear.</summary>
    Bypass,

    /// <summary>Protect it with an SA of the policy.</summary>
    Protect,
}

/// <summary>
/// Third stage outbound: the policy (RFC 4301 §5.1). No policy: the default of the direction, as XFRM_MSG_SETDEFAULT set it.
/// </summary>
internal sealed class PolicyStage(SecurityPolicyDatabase spd, BatchClock clock, PolicyUse use)
{
    private readonly FlowCache _flows = new(spd);

    /// <summary>Decides about one packet and counts the use of the policy.</summary>
    public OutboundVerdict Decide(in FlowKey flow, int length, out SecurityPolicy? policy, out DropReason reason)
    {
        reason = DropReason.None;
        switch (_flows.Lookup(flow, PolicyDirection.Out, out policy))
        {
            case PolicyVerdict.PortsNeeded:
                reason = DropReason.OutboundFragmentWithoutPorts;
                return OutboundVerdict.Drop;
            case PolicyVerdict.Found when policy is not null:
                use.Count(policy, length, clock.UnixSeconds);
                break;
            default:
                reason = spd.DefaultBlocks[(int)PolicyDirection.Out] ? DropReason.OutboundNoPolicy : DropReason.None;
                return reason == DropReason.None ? OutboundVerdict.Bypass : OutboundVerdict.Drop;
        }

        if (policy.Action == PolicyAction.Block)
        {
            reason = DropReason.OutboundPolicyBlock;
            return OutboundVerdict.Drop;
        }

        return policy.Protects ? OutboundVerdict.Protect : OutboundVerdict.Bypass;
    }

    /// <summary>
    /// For an ICMP error that would go in clear: the policy that protects what it is about, if that has the flag icmp (xfrm_out_fwd_icmp), or null.
    /// </summary>
    public SecurityPolicy? DecideError(in FlowKey quoted, int length)
    {
        if (_flows.Lookup(quoted, PolicyDirection.Out, out var policy) != PolicyVerdict.Found || policy is not { Protects: true, AdmitsIcmpErrors: true })
        {
            return null;
        }

        use.Count(policy, length, clock.UnixSeconds);
        return policy;
    }
}
