using Espalier.Ipsec.Spd;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>Writes a policy as the kernel does: the struct, the templates, the type. Workers frozen.</summary>
internal static class PolicyWriter
{
    /// <summary>Fills xfrm_userpolicy_info in place. As the kernel, it does not tell the share value.</summary>
    public static void Fill(ref XfrmUserPolicyInfo info, SecurityPolicy policy)
    {
        XfrmConversions.FromSelector(policy.Selector, ref info.Selector);
        XfrmConversions.FromLimits(policy.Limits, ref info.Limits);
        XfrmConversions.FromUsage(policy.Usage, ref info.Current);

        // The kernel sets a policy's use_time at every use; IKE daemons read from it when traffic was seen last.
        info.Current.UseTime = policy.Usage.LastUsed;
        info.Priority = policy.Priority;
        info.Index = policy.Index;
        info.Direction = (byte)policy.Direction;
        info.Action = (byte)policy.Action;
        info.Flags = policy.Flags;
    }

    /// <summary>Writes XFRMA_TMPL, where there is a template, and XFRMA_POLICY_TYPE.</summary>
    public static void WriteAttributes(NetlinkWriter writer, SecurityPolicy policy)
    {
        if (policy.Templates.Count > 0)
        {
            // Espalier's policies have one template at most.
            FillTemplate(ref writer.ReserveAttribute<XfrmUserTemplate>(XfrmAttribute.Template), policy.Templates[0]);
        }

        writer.ReserveAttribute<XfrmUserPolicyType>(XfrmAttribute.PolicyType).Type = XfrmValue.PolicyTypeMain;
    }

    private static void FillTemplate(ref XfrmUserTemplate result, PolicyTemplate template)
    {
        result.Id.DestinationAddress = XfrmConversions.FromAddress(template.Destination);
        result.Id.Spi = XfrmConversions.Swap(template.Spi.Value);
        result.Id.Protocol = template.Protocol;
        result.Family = XfrmConversions.ToFamily(template.Family);
        result.SourceAddress = XfrmConversions.FromAddress(template.Source);
        result.ReqId = template.ReqId;
        result.Mode = (byte)template.Mode;
        result.Share = template.Share;
        result.Optional = template.Optional ? (byte)1 : (byte)0;
        result.AuthenticationAlgorithms = template.AuthenticationAlgorithms;
        result.EncryptionAlgorithms = template.EncryptionAlgorithms;
        result.CompressionAlgorithms = template.CompressionAlgorithms;
    }
}
