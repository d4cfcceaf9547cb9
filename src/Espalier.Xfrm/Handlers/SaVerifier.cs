using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>
/// What the kernel's verify_newsa_info refuses in NEWSA and UPDSA, in its order and with its errors; then what the kernel can and Espalier
/// cannot, each named in the text.
/// </summary>
internal static class SaVerifier
{
    /// <summary>Checks everything but the algorithms themselves.</summary>
    public static XfrmError Verify(in XfrmUserSaInfo info, in XfrmRequest request)
    {
        var attributes = request.Attributes;
        var error = VerifyFamilies(info);
        error = error.Failed ? error : VerifyProtocol(info, attributes);
        error = error.Failed ? error : VerifyAlgorithmLengths(attributes);
        byte direction = attributes.Has(XfrmAttribute.SaDirection) ? attributes[XfrmAttribute.SaDirection][0] : (byte)0;
        error = error.Failed ? error : SaReplayVerifier.Verify(info, attributes, direction);
        error = error.Failed ? error : VerifyMode(info, direction);
        error = error.Failed ? error : VerifyMappingThreshold(attributes, direction);
        error = error.Failed ? error : VerifyDirection(info, attributes, direction);
        return error.Failed ? error : Refusals.OfAssociation(info, request);
    }

    private static XfrmError VerifyFamilies(in XfrmUserSaInfo info)
    {
        if (info.Family is not (XfrmValue.FamilyIPv4 or XfrmValue.FamilyIPv6))
        {
            return XfrmError.Invalid("Invalid address family");
        }

        ushort family = info.Selector.Family;
        if (family == XfrmValue.FamilyUnspecified && (info.Flags & (byte)Ipsec.Sad.SaFlags.AfUnspec) == 0)
        {
            family = info.Family;
        }

        return VerifySelectorFamily(info.Selector, family, unspecifiedAllowed: true, "Invalid address family in selector");
    }

    /// <summary>Prefix lengths against the family of a selector.</summary>
    public static XfrmError VerifySelectorFamily(in XfrmSelector selector, ushort family, bool unspecifiedAllowed, string invalid)
    {
        switch (family)
        {
            case XfrmValue.FamilyUnspecified when unspecifiedAllowed:
                return XfrmError.None;
            case XfrmValue.FamilyIPv4:
                return selector.DestinationPrefixLength > 32 || selector.SourcePrefixLength > 32
                    ? XfrmError.Invalid("Invalid prefix length in selector (must be <= 32 for IPv4)") : XfrmError.None;
            case XfrmValue.FamilyIPv6:
                return selector.DestinationPrefixLength > 128 || selector.SourcePrefixLength > 128
                    ? XfrmError.Invalid("Invalid prefix length in selector (must be <= 128 for IPv6)") : XfrmError.None;
            default:
                return XfrmError.Invalid(invalid);
        }
    }

    private static XfrmError VerifyProtocol(in XfrmUserSaInfo info, in XfrmAttributes attributes)
    {
        bool authentication = attributes.Has(XfrmAttribute.AlgorithmAuthentication)
            || attributes.Has(XfrmAttribute.AlgorithmAuthenticationTruncated);
        bool encryption = attributes.Has(XfrmAttribute.AlgorithmEncryption);
        bool aead = attributes.Has(XfrmAttribute.AlgorithmAead);
        bool compression = attributes.Has(XfrmAttribute.AlgorithmCompression);
        bool padding = attributes.Has(XfrmAttribute.TfcPadding);
        return info.Id.Protocol switch
        {
            XfrmValue.ProtocolEsp => VerifyEsp(info, attributes, authentication || encryption, aead),
            XfrmValue.ProtocolAh when !authentication => XfrmError.Invalid("Missing required attribute for AH: AUTH_TRUNC or AUTH"),
            XfrmValue.ProtocolAh when aead || encryption || compression || padding =>
                XfrmError.Invalid("Invalid attributes for AH: AEAD, CRYPT, COMP, TFCPAD"),
            XfrmValue.ProtocolIpComp when !compression => XfrmError.Invalid("Missing required attribute for COMP: COMP"),
            XfrmValue.ProtocolIpComp when aead || authentication || encryption || padding =>
                XfrmError.Invalid("Invalid attributes for COMP: AEAD, AUTH, AUTH_TRUNC, CRYPT, TFCPAD"),
            XfrmValue.ProtocolIpComp when XfrmConversions.Swap(info.Id.Spi) >= 0x10000 =>
                XfrmError.Invalid("SPI is too large for COMP (must be < 0x10000)"),
            XfrmValue.ProtocolAh or XfrmValue.ProtocolIpComp => XfrmError.None,
            XfrmValue.ProtocolDestinationOptions or XfrmValue.ProtocolRouting
                when compression || authentication || aead || encryption || padding || attributes.Has(XfrmAttribute.Encapsulation)
                    || attributes.Has(XfrmAttribute.SecurityContext) =>
                XfrmError.Invalid("Invalid attributes for DSTOPTS/ROUTING"),
            XfrmValue.ProtocolDestinationOptions or XfrmValue.ProtocolRouting when !attributes.Has(XfrmAttribute.CareOfAddress) =>
                XfrmError.Invalid("Missing required COADDR attribute for DSTOPTS/ROUTING"),
            XfrmValue.ProtocolDestinationOptions or XfrmValue.ProtocolRouting => XfrmError.None,
            _ => XfrmError.Invalid("Unsupported protocol"),
        };
    }

    private static XfrmError VerifyEsp(in XfrmUserSaInfo info, in XfrmAttributes attributes, bool separate, bool aead)
    {
        if (attributes.Has(XfrmAttribute.AlgorithmCompression))
        {
            return XfrmError.Invalid("Invalid attribute for ESP: COMP");
        }

        if (!separate && !aead)
        {
            return XfrmError.Invalid("Missing required attribute for ESP: at least one of AUTH, AUTH_TRUNC, CRYPT, AEAD");
        }

        if (separate && aead)
        {
            return XfrmError.Invalid("Invalid attribute combination for ESP: AEAD can't be used with AUTH, AUTH_TRUNC, CRYPT");
        }

        if (attributes.Has(XfrmAttribute.TfcPadding) && info.Mode != XfrmValue.ModeTunnel)
        {
            return XfrmError.Invalid("TFC padding can only be used in tunnel mode");
        }

        for (var type = XfrmAttribute.IptfsDropTime; type <= XfrmAttribute.IptfsPacketSize; type++)
        {
            if (attributes.Has(type) && info.Mode != XfrmValue.ModeIptfs)
            {
                return XfrmError.Invalid("IP-TFS options can only be used in IP-TFS mode");
            }
        }

        return XfrmError.None;
    }

    private static XfrmError VerifyAlgorithmLengths(in XfrmAttributes attributes)
    {
        if (!AlgorithmParser.Fits(attributes, XfrmAttribute.AlgorithmAead))
        {
            return XfrmError.Invalid("Invalid AEAD attribute length");
        }

        if (!AlgorithmParser.Fits(attributes, XfrmAttribute.AlgorithmAuthenticationTruncated))
        {
            return XfrmError.Invalid("Invalid AUTH_TRUNC attribute length");
        }

        if (!AlgorithmParser.Fits(attributes, XfrmAttribute.AlgorithmAuthentication)
            || !AlgorithmParser.Fits(attributes, XfrmAttribute.AlgorithmEncryption)
            || !AlgorithmParser.Fits(attributes, XfrmAttribute.AlgorithmCompression))
        {
            return XfrmError.Invalid("Invalid AUTH/CRYPT/COMP attribute length");
        }

        return VerifySecurityContext(attributes);
    }

    /// <summary>The length of a security context, checked before it is refused.</summary>
    public static XfrmError VerifySecurityContext(in XfrmAttributes attributes)
    {
        if (!attributes.Has(XfrmAttribute.SecurityContext))
        {
            return XfrmError.None;
        }

        var context = attributes.Read<XfrmUserSecurityContext>(XfrmAttribute.SecurityContext);
        return context.Length > attributes[XfrmAttribute.SecurityContext].Length || context.Length != 8 + context.ContextLength
            ? XfrmError.Invalid("Invalid security context length") : XfrmError.None;
    }

    private static XfrmError VerifyMode(in XfrmUserSaInfo info, byte direction) => info.Mode switch
    {
        XfrmValue.ModeTransport or XfrmValue.ModeTunnel or XfrmValue.ModeRouteOptimization or XfrmValue.ModeBeet => XfrmError.None,
        XfrmValue.ModeIptfs when info.Id.Protocol != XfrmValue.ProtocolEsp => XfrmError.Invalid("IP-TFS mode only supported with ESP"),
        XfrmValue.ModeIptfs when direction == 0 => XfrmError.Invalid("IP-TFS mode requires in or out direction attribute"),
        XfrmValue.ModeIptfs => XfrmError.None,
        _ => XfrmError.Invalid("Unsupported mode"),
    };

    private static XfrmError VerifyMappingThreshold(in XfrmAttributes attributes, byte direction)
    {
        if (!attributes.Has(XfrmAttribute.MappingTimerThreshold))
        {
            return XfrmError.None;
        }

        if (!attributes.Has(XfrmAttribute.Encapsulation))
        {
            return XfrmError.Invalid("MTIMER_THRESH attribute can only be set on ENCAP states");
        }

        return direction == XfrmValue.DirectionOut
            ? XfrmError.Invalid("MTIMER_THRESH attribute should not be set on output SA") : XfrmError.None;
    }

    private static XfrmError VerifyDirection(in XfrmUserSaInfo info, in XfrmAttributes attributes, byte direction)
    {
        string? text = direction switch
        {
            XfrmValue.DirectionOut => OutputProblem(info, attributes),
            XfrmValue.DirectionIn => InputProblem(info, attributes),
            _ => attributes.Has(XfrmAttribute.SaPerCpu) ? "SA_PCPU only supported with SA_DIR" : null,
        };
        return text is null ? XfrmError.None : XfrmError.Invalid(text);
    }

    private static string? OutputProblem(in XfrmUserSaInfo info, in XfrmAttributes attributes)
    {
        var flags = (Ipsec.Sad.SaFlags)info.Flags;
        if ((flags & Ipsec.Sad.SaFlags.DecapDscp) != 0)
        {
            return "Flag DECAP_DSCP should not be set for output SA";
        }

        if ((flags & Ipsec.Sad.SaFlags.Icmp) != 0)
        {
            return "Flag ICMP should not be set for output SA";
        }

        if ((flags & Ipsec.Sad.SaFlags.WildcardReceive) != 0)
        {
            return "Flag WILDRECV should not be set for output SA";
        }

        if (info.ReplayWindow != 0)
        {
            return "Replay window should be 0 for output SA";
        }

        if (attributes.Has(XfrmAttribute.IptfsDropTime))
        {
            return "IP-TFS drop time should not be set for output SA";
        }

        if (attributes.Has(XfrmAttribute.IptfsReorderWindow))
        {
            return "IP-TFS reorder window should not be set for output SA";
        }

        if (attributes.Has(XfrmAttribute.ReplayValue))
        {
            var replay = attributes.Read<XfrmReplayState>(XfrmAttribute.ReplayValue);
            if ((replay.Sequence | replay.Bitmap) != 0)
            {
                return "Replay seq and bitmap should be 0 for output SA";
            }
        }

        return null;
    }

    private static string? InputProblem(in XfrmUserSaInfo info, in XfrmAttributes attributes)
    {
        if ((info.Flags & (byte)Ipsec.Sad.SaFlags.NoPmtuDiscovery) != 0)
        {
            return "Flag NOPMTUDISC should not be set for input SA";
        }

        var extra = (Ipsec.Sad.SaExtraFlags)attributes.ReadUInt32(XfrmAttribute.SaExtraFlags, 0);
        return (extra & Ipsec.Sad.SaExtraFlags.DontEncapsulateDscp) != 0 ? "Flag DONT_ENCAP_DSCP should not be set for input SA"
            : (extra & Ipsec.Sad.SaExtraFlags.OutboundSequenceMayWrap) != 0 ? "Flag OSEQ_MAY_WRAP should not be set for input SA"
            : attributes.Has(XfrmAttribute.IptfsDontFragment) ? "IP-TFS don't fragment should not be set for input SA"
            : attributes.Has(XfrmAttribute.IptfsInitialDelay) ? "IP-TFS initial delay should not be set for input SA"
            : attributes.Has(XfrmAttribute.IptfsMaximumQueueSize) ? "IP-TFS max queue size should not be set for input SA"
            : attributes.Has(XfrmAttribute.IptfsPacketSize) ? "IP-TFS packet size should not be set for input SA"
            : null;
    }
}
