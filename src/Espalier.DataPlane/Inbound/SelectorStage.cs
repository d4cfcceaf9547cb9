using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Inbound;

/// <summary>Sixth stage inbound: the inner packet against the selector of the SA itself (RFC 4301 §5.2 step 4).</summary>
internal static class SelectorStage
{
    /// <summary>
    /// None, or why the packet must be dropped. With the flag icmp an ICMP error passes if what it is about would (xfrm_selector_inner_icmp_match).
    /// </summary>
    public static DropReason Check(SecurityAssociation association, in FlowKey flow, ReadOnlySpan<byte> packet, in PacketSummary summary)
    {
        var reason = Check(association, flow);
        return reason == DropReason.InboundSelectorMismatch && (association.Flags & SaFlags.Icmp) != 0
            && QuotedFlow.TryReverse(packet, summary, out var quoted) ? Check(association, quoted) : reason;
    }

    private static DropReason Check(SecurityAssociation association, in FlowKey flow)
    {
        var selector = association.Selector;
        if (selector.Version == IpVersion.None)
        {
            return DropReason.None;
        }

        // XFRM_STATE_AF_UNSPEC: the selector speaks of its own family only.
        if (selector.Version != flow.Destination.Version)
        {
            return (association.Flags & SaFlags.AfUnspec) != 0 ? DropReason.None : DropReason.InboundSelectorMismatch;
        }

        if (selector.Matches(flow))
        {
            return DropReason.None;
        }

        return !flow.PortsKnown && selector.MatchesIgnoringPorts(flow)
            ? DropReason.InboundFragmentWithoutPorts : DropReason.InboundSelectorMismatch;
    }
}
