using Espalier.Ipsec.Sad;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>
/// What the kernel offers and Espalier does not. Each is refused by name in the extended acknowledgement, never accepted and ignored:
/// EPROTONOSUPPORT for protocols (as a kernel without the module), EOPNOTSUPP for everything else.
/// </summary>
internal static class Refusals
{
    /// <summary>In NEWSA and UPDSA.</summary>
    public static XfrmError OfAssociation(in XfrmUserSaInfo info, in XfrmRequest request)
    {
        var error = OfProtocol(info.Id.Protocol);
        error = error.Failed ? error : OfMode(info.Mode, "SA");
        error = error.Failed ? error : OfIdentity(request);
        error = error.Failed ? error : OfOutputMark(request.Attributes);
        error = error.Failed ? error : OfSecurityAndOffload(request.Attributes);
        error = error.Failed ? error : OfSelector(info.Selector);
        if (error.Failed)
        {
            return error;
        }

        var attributes = request.Attributes;
        if (info.Id.Spi == 0)
        {
            return XfrmError.Invalid("SPI 0 is never sent and cannot be used (RFC 4303 section 2.1)");
        }

        if ((attributes.ReadUInt32(XfrmAttribute.SaExtraFlags, 0) & (uint)SaExtraFlags.OutboundSequenceMayWrap) != 0)
        {
            return XfrmError.Unsupported("Extra flag oseq-may-wrap is not supported by Espalier: sequence numbers never wrap");
        }

        if ((attributes.ReadUInt32(XfrmAttribute.SaExtraFlags, 0) & ~(uint)SaExtraFlags.DontEncapsulateDscp) != 0)
        {
            return XfrmError.Unsupported("Unknown extra flags are not supported by Espalier");
        }

        if (attributes.Has(XfrmAttribute.NatKeepaliveInterval) && attributes.ReadUInt32(XfrmAttribute.NatKeepaliveInterval, 0) != 0)
        {
            return XfrmError.Unsupported("NAT keepalives (XFRMA_NAT_KEEPALIVE_INTERVAL) are not sent by Espalier; the IKE daemon sends them");
        }

        return OfEncapsulation(attributes);
    }

    /// <summary>In NEWPOLICY and UPDPOLICY, apart from templates.</summary>
    public static XfrmError OfPolicy(in XfrmUserPolicyInfo info, in XfrmRequest request)
    {
        var error = OfIdentity(request);
        error = error.Failed ? error : OfSecurityAndOffload(request.Attributes);
        error = error.Failed ? error : OfSelector(info.Selector);
        return error.Failed ? error
            : PolicyVerifier.IsAboutSub(request.Attributes) ? XfrmError.Unsupported("Sub policies (ptype sub) are not supported by Espalier")
            : (info.Flags & XfrmValue.PolicyFlagCpuAcquire) != 0
                ? XfrmError.Unsupported("Policy flag cpu_acquire (per-CPU SAs) is not supported by Espalier")
            : XfrmError.None;
    }

    /// <summary>In ALLOCSPI. What the kernel passes over here (output marks, security contexts, offload) is refused with the UPDSA that fills the larval SA.</summary>
    public static XfrmError OfSpiRequest(in XfrmUserSpiInfo info, in XfrmRequest request)
    {
        var error = OfProtocol(info.Info.Id.Protocol);
        error = error.Failed || info.Info.Mode == XfrmValue.ModeTransport ? error : OfMode(info.Info.Mode, "larval SA");
        return error.Failed ? error : OfIdentity(request);
    }

    /// <summary>The template of a policy.</summary>
    public static XfrmError OfTemplate(in XfrmUserTemplate template)
    {
        var error = OfProtocol(template.Id.Protocol);
        error = error.Failed || IsTrap(template) ? error : OfMode(template.Mode, "template");
        if (error.Failed)
        {
            return error;
        }

        if (template.Optional != 0)
        {
            return XfrmError.Unsupported("Optional templates (level use) are not supported by Espalier");
        }

        return (template.AuthenticationAlgorithms & template.EncryptionAlgorithms & template.CompressionAlgorithms) != uint.MaxValue
            ? XfrmError.Unsupported("Templates that restrict algorithms by mask are not supported by Espalier") : XfrmError.None;
    }

    /// <summary>Modes other than tunnel.</summary>
    public static XfrmError OfMode(byte mode, string of) => mode switch
    {
        XfrmValue.ModeTunnel => XfrmError.None,
        XfrmValue.ModeTransport => XfrmError.Unsupported($"Transport mode is not supported by Espalier: {of} must be mode tunnel"),
        XfrmValue.ModeBeet => XfrmError.Unsupported($"BEET mode is not supported by Espalier: {of} must be mode tunnel"),
        XfrmValue.ModeIptfs => XfrmError.Unsupported($"IP-TFS mode is not supported by Espalier: {of} must be mode tunnel"),
        XfrmValue.ModeRouteOptimization or XfrmValue.ModeInTrigger =>
            XfrmError.Unsupported($"Mobile IPv6 modes are not supported by Espalier: {of} must be mode tunnel"),
        _ => XfrmError.Invalid("Unsupported mode"),
    };

    /// <summary>Protocols other than ESP.</summary>
    public static XfrmError OfProtocol(byte protocol) => protocol switch
    {
        XfrmValue.ProtocolEsp => XfrmError.None,
        XfrmValue.ProtocolAh => XfrmError.Protocol("AH is not supported by Espalier: use ESP"),
        XfrmValue.ProtocolIpComp => XfrmError.Protocol("IPComp is not supported by Espalier: switch compression off"),
        XfrmValue.ProtocolDestinationOptions or XfrmValue.ProtocolRouting =>
            XfrmError.Protocol("Mobile IPv6 headers are not supported by Espalier: use ESP"),
        _ => XfrmError.Protocol("Only ESP is supported by Espalier"),
    };

    // pluto's policy for traffic on demand: transport mode without addresses. No SA that Espalier admits fits it, so it asks for one (ACQUIRE),
    // and the negotiated policy takes its place.
    private static bool IsTrap(in XfrmUserTemplate template) => template.Mode == XfrmValue.ModeTransport
        && XfrmConversions.Bytes(template.Id.DestinationAddress).IndexOfAnyExcept((byte)0) < 0
        && XfrmConversions.Bytes(template.SourceAddress).IndexOfAnyExcept((byte)0) < 0;

    // What tells SAs and policies of the kernel apart, beside addresses.
    private static XfrmError OfIdentity(in XfrmRequest request)
    {
        var attributes = request.Attributes;
        if (request.HasMark)
        {
            return new XfrmError(
                LinuxError.NotSupported, "Marks other than 0 (XFRMA_MARK) are not supported by Espalier", attributes.OffsetOf(XfrmAttribute.Mark));
        }

        if (request.HasInterfaceId)
        {
            return new XfrmError(
                LinuxError.NotSupported, "XFRM interfaces (if_id other than 0) are not supported by Espalier", attributes.OffsetOf(XfrmAttribute.InterfaceId));
        }

        return attributes.Has(XfrmAttribute.SaPerCpu)
            ? XfrmError.Unsupported("Per-CPU SAs (XFRMA_SA_PCPU) are not supported by Espalier") : XfrmError.None;
    }

    // Of SAs only: the kernel passes them over on policies.
    private static XfrmError OfOutputMark(in XfrmAttributes attributes) =>
        attributes.Has(XfrmAttribute.SetMark)
        && (attributes.ReadUInt32(XfrmAttribute.SetMark, 0) | attributes.ReadUInt32(XfrmAttribute.SetMarkMask, uint.MaxValue)) != 0
            ? new XfrmError(
                LinuxError.NotSupported, "Output marks (XFRMA_SET_MARK) are not supported by Espalier", attributes.OffsetOf(XfrmAttribute.SetMark))
            : XfrmError.None;

    private static XfrmError OfSecurityAndOffload(in XfrmAttributes attributes) =>
        attributes.Has(XfrmAttribute.SecurityContext) ? XfrmError.Unsupported("Security contexts (XFRMA_SEC_CTX) are not supported by Espalier")
        : attributes.Has(XfrmAttribute.OffloadDevice) ? XfrmError.Unsupported("Hardware offload (XFRMA_OFFLOAD_DEV) is not supported by Espalier")
        : XfrmError.None;

    private static XfrmError OfSelector(in XfrmSelector selector) =>
        selector.InterfaceIndex != 0 ? XfrmError.Unsupported("Selectors with an interface (dev) are not supported by Espalier")
        : selector.User != 0 ? XfrmError.Unsupported("Selectors with a user (uid) are not supported by Espalier")
        : XfrmError.None;

    private static XfrmError OfEncapsulation(in XfrmAttributes attributes)
    {
        if (!attributes.Has(XfrmAttribute.Encapsulation))
        {
            return XfrmError.None;
        }

        var template = attributes.Read<XfrmEncapsulationTemplate>(XfrmAttribute.Encapsulation);
        return template.Type switch
        {
            // Nothing can be received on port 0, and nothing is sent to it.
            XfrmValue.EncapsulationEspInUdp when template.SourcePort == 0 || template.DestinationPort == 0 =>
                XfrmError.Unsupported("UDP port 0 (encap espinudp) is not supported by Espalier"),
            XfrmValue.EncapsulationEspInUdp => XfrmError.None,
            XfrmValue.EncapsulationEspInTcp => XfrmError.Unsupported("ESP in TCP (encap espintcp) is not supported by Espalier: use espinudp"),
            XfrmValue.EncapsulationEspInUdpNonIke => XfrmError.Unsupported("This encapsulation type is not supported by Espalier: use espinudp"),
            _ => XfrmError.Invalid("Unsupported encapsulation type for ESP"),
        };
    }
}
