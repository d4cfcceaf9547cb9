using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>
/// What the kernel's verify_newpolicy_info and validate_tmpl refuse, in their order and with their errors; then what the kernel can and
/// Espalier cannot.
/// </summary>
internal static class PolicyVerifier
{
    /// <summary>Checks NEWPOLICY and UPDPOLICY and gives the templates.</summary>
    public static XfrmError Verify(in XfrmUserPolicyInfo info, in XfrmRequest request, out IReadOnlyList<PolicyTemplate> templates)
    {
        templates = [];
        var error = VerifyInfo(info);
        error = error.Failed ? error : SaVerifier.VerifySecurityContext(request.Attributes);
        error = error.Failed ? error : VerifyType(request.Attributes);
        error = error.Failed ? error : ReadTemplates(info, request.Attributes, out templates);
        return error.Failed ? error : Refusals.OfPolicy(info, request);
    }

    /// <summary>A direction that exists.</summary>
    public static XfrmError VerifyDirection(byte direction) =>
        direction > (byte)PolicyDirection.Forward ? XfrmError.Invalid("Invalid policy direction") : XfrmError.None;

    /// <summary>XFRMA_POLICY_TYPE: main or sub, as for a kernel with CONFIG_XFRM_SUB_POLICY.</summary>
    public static XfrmError VerifyType(in XfrmAttributes attributes) =>
        TypeOf(attributes) is XfrmValue.PolicyTypeMain or XfrmValue.PolicyTypeSub ? XfrmError.None : XfrmError.Invalid("Invalid policy type");

    /// <summary>True where a request is about sub policies (the kernel's for mobile IPv6), of which Espalier has none.</summary>
    public static bool IsAboutSub(in XfrmAttributes attributes) => TypeOf(attributes) == XfrmValue.PolicyTypeSub;

    private static byte TypeOf(in XfrmAttributes attributes) => attributes.Has(XfrmAttribute.PolicyType)
        ? attributes.Read<XfrmUserPolicyType>(XfrmAttribute.PolicyType).Type : XfrmValue.PolicyTypeMain;

    private static XfrmError VerifyInfo(in XfrmUserPolicyInfo info)
    {
        if (info.Share > 3)
        {
            return XfrmError.Invalid("Invalid policy share");
        }

        if (info.Action > (byte)PolicyAction.Block)
        {
            return XfrmError.Invalid("Invalid policy action");
        }

        var error = SaVerifier.VerifySelectorFamily(
            info.Selector, info.Selector.Family, unspecifiedAllowed: false, "Invalid selector family");
        error = error.Failed ? error : VerifyDirection(info.Direction);
        return error.Failed ? error
            : info.Index != 0 && (info.Index & 7) != info.Direction ? XfrmError.Invalid("Policy index doesn't match direction")
            : XfrmError.None;
    }

    private static XfrmError ReadTemplates(in XfrmUserPolicyInfo info, in XfrmAttributes attributes, out IReadOnlyList<PolicyTemplate> templates)
    {
        templates = [];
        if (!attributes.Has(XfrmAttribute.Template))
        {
            return XfrmError.None;
        }

        var value = attributes[XfrmAttribute.Template];
        int size = Unsafe.SizeOf<XfrmUserTemplate>();
        var given = MemoryMarshal.Cast<byte, XfrmUserTemplate>(value[..(value.Length / size * size)]);
        if (given.Length > XfrmValue.MaximumDepth)
        {
            return XfrmError.Invalid("Template count must be <= XFRM_MAX_DEPTH (6)");
        }

        ushort family = info.Selector.Family;
        foreach (ref readonly var template in given)
        {
            var error = VerifyTemplate(template, info, ref family);
            if (error.Failed)
            {
                return error;
            }
        }

        if (given.Length > 1)
        {
            return XfrmError.Unsupported("Policies with more than one template (bundles of SAs) are not supported by Espalier");
        }

        var refusal = Refusals.OfTemplate(given[0]);
        if (!refusal.Failed)
        {
            templates = [ToTemplate(given[0], family)];
        }

        return refusal;
    }

    // validate_tmpl; `family` is that of the template before, or of the policy.
    private static XfrmError VerifyTemplate(in XfrmUserTemplate template, in XfrmUserPolicyInfo info, ref ushort family)
    {
        ushort own = template.Family == XfrmValue.FamilyUnspecified ? info.Selector.Family : template.Family;
        switch (template.Mode)
        {
            case XfrmValue.ModeTunnel or XfrmValue.ModeBeet:
                if (template.Optional != 0 && info.Direction == (byte)PolicyDirection.Out)
                {
                    return XfrmError.Invalid("Mode in optional template not allowed in outbound policy");
                }

                break;
            case XfrmValue.ModeIptfs:
                break;
            default:
                if (own != family)
                {
                    return XfrmError.Invalid("Mode in template doesn't support a family change");
                }

                break;
        }

        if (template.Mode >= XfrmValue.ModeCount)
        {
            return XfrmError.Invalid("Mode in template must be < XFRM_MODE_MAX (6)");
        }

        family = own;
        if (own is not (XfrmValue.FamilyIPv4 or XfrmValue.FamilyIPv6))
        {
            return XfrmError.Invalid("Invalid family in template");
        }

        return template.Id.Protocol is XfrmValue.ProtocolEsp or XfrmValue.ProtocolAh or XfrmValue.ProtocolIpComp
                or XfrmValue.ProtocolDestinationOptions or XfrmValue.ProtocolRouting
            ? XfrmError.None : XfrmError.Invalid("Invalid XFRM protocol in template");
    }

    private static PolicyTemplate ToTemplate(in XfrmUserTemplate template, ushort family)
    {
        var version = XfrmConversions.ToVersion(family);
        return new PolicyTemplate(
            XfrmConversions.ToAddress(template.SourceAddress, version),
            XfrmConversions.ToAddress(template.Id.DestinationAddress, version),
            new Spi(XfrmConversions.Swap(template.Id.Spi)),
            template.ReqId,
            (IpsecMode)template.Mode,
            template.Id.Protocol,
            template.Optional != 0,
            version,
            template.Share,
            template.AuthenticationAlgorithms,
            template.EncryptionAlgorithms,
            template.CompressionAlgorithms);
    }
}
