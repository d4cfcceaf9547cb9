using Espalier.DataPlane.Workers;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Inbound;

/// <summary>
/// Eighth stage inbound: does policy let this packet in, through this SA (RFC 4301 §5.2 step 4)? As the kernel's __xfrm_policy_check for a packet
/// that came out of one tunnel: a policy must cover it, must not block, and its template must describe the SA. A policy that allows
/// without a template says that such packets come in clear, so one from a tunnel does not match it either.
/// </summary>
internal sealed class PolicyCheckStage(IpsecDatabase database, ILocalAddresses localAddresses, BatchClock clock, PolicyUse use)
{
    private readonly FlowCache _flows = new(database.Spd);

    /// <summary>None, or why the packet must be dropped. Counts the use of the policy that covers it.</summary>
    public DropReason Check(SecurityAssociation association, in FlowKey flow, int length, out SecurityPolicy? policy) =>
        Judge(association, flow, DirectionOf(flow), length, out policy);

    /// <summary>
    /// What <see cref="Check"/> refused for a reason, looked at once more if it is an ICMP error, by what it is about. To be forwarded: where no policy covers it
    /// (xfrm_in_fwd_icmp). To this host: where its SA has the flag icmp (icmp_rcv).
    /// </summary>
    public DropReason CheckError(
        SecurityAssociation association, ReadOnlySpan<byte> packet, in PacketSummary summary, in FlowKey flow, DropReason refused, ref SecurityPolicy? policy)
    {
        var direction = DirectionOf(flow);
        bool mayAsk = direction == PolicyDirection.Forward ? refused == DropReason.InboundNoPolicy : (association.Flags & SaFlags.Icmp) != 0;
        return mayAsk && QuotedFlow.TryReverse(packet, summary, out var quoted)
            && Judge(association, quoted, direction, summary.TotalLength, out var about) == DropReason.None && (policy = about) is not null
            ? DropReason.None : refused;
    }

    private PolicyDirection DirectionOf(in FlowKey flow) =>
        localAddresses.IsLocal(flow.Destination) ? PolicyDirection.In : PolicyDirection.Forward;

    private DropReason Judge(SecurityAssociation association, in FlowKey flow, PolicyDirection direction, int length, out SecurityPolicy? policy)
    {
        switch (_flows.Lookup(flow, direction, out policy))
        {
            case PolicyVerdict.PortsNeeded:
                return DropReason.InboundFragmentWithoutPorts;
            case PolicyVerdict.Found when policy is not null:
                break;
            default:
                // Also where the default of the direction accepts: that is said of packets in clear.
                return DropReason.InboundNoPolicy;
        }

        use.Count(policy, length, clock.UnixSeconds);
        if (policy.Action == PolicyAction.Block)
        {
            return DropReason.InboundPolicyBlock;
        }

        return policy.Protects && Describes(policy.Templates[0], association) ? DropReason.None : DropReason.InboundTemplateMismatch;
    }

    // The kernel's xfrm_state_ok. SPI 0, reqid 0 and an unspecified source are wildcards. The destination needs no check: it found the SA,
    // and it is an address of this host. An optional template that does not match still leaves a tunnel that no template asked for.
    private static bool Describes(PolicyTemplate template, SecurityAssociation association) =>
        template.Protocol == IpProtocol.Esp
        && (template.Spi.Value == 0 || template.Spi == association.Id.Spi)
        && (template.ReqId == 0 || template.ReqId == association.ReqId)
        && template.Mode == association.Mode
        && (template.Source.IsUnspecified || template.Source == association.Source);
}
