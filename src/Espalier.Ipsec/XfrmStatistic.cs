namespace Espalier.Ipsec;

/// <summary>The kernel's counters of IPsec errors, named and ordered as /proc/net/xfrm_stat of Linux 6.18 shows them.</summary>
public enum XfrmStatistic : byte
{
    /// <summary>No counter: nothing went wrong.</summary>
    None = 0,

    /// <summary>All errors that fit nowhere else, inbound.</summary>
    XfrmInError,

    /// <summary>No buffer.</summary>
    XfrmInBufferError,

    /// <summary>Header error.</summary>
    XfrmInHdrError,

    /// <summary>No SA for the SPI, address and protocol.</summary>
    XfrmInNoStates,

    /// <summary>Error of the transform, such as a wrong ICV.</summary>
    XfrmInStateProtoError,

    /// <summary>Error of the mode, such as a malformed inner packet.</summary>
    XfrmInStateModeError,

    /// <summary>Sequence number outside the window or seen before.</summary>
    XfrmInStateSeqError,

    /// <summary>SA expired.</summary>
    XfrmInStateExpired,

    /// <summary>Encapsulation or the SA's selector does not match.</summary>
    XfrmInStateMismatch,

    /// <summary>SA not valid.</summary>
    XfrmInStateInvalid,

    /// <summary>The policy's template asks for another SA.</summary>
    XfrmInTmplMismatch,

    /// <summary>No policy for an inbound packet.</summary>
    XfrmInNoPols,

    /// <summary>A policy discards.</summary>
    XfrmInPolBlock,

    /// <summary>Policy error, inbound.</summary>
    XfrmInPolError,

    /// <summary>All errors that fit nowhere else, outbound.</summary>
    XfrmOutError,

    /// <summary>Bundle of SAs could not be made.</summary>
    XfrmOutBundleGenError,

    /// <summary>Bundle of SAs was not valid.</summary>
    XfrmOutBundleCheckError,

    /// <summary>No SA for a policy.</summary>
    XfrmOutNoStates,

    /// <summary>Error of the transform.</summary>
    XfrmOutStateProtoError,

    /// <summary>Error of the mode.</summary>
    XfrmOutStateModeError,

    /// <summary>Sequence numbers used up.</summary>
    XfrmOutStateSeqError,

    /// <summary>SA expired.</summary>
    XfrmOutStateExpired,

    /// <summary>A policy discards.</summary>
    XfrmOutPolBlock,

    /// <summary>Policy is dead.</summary>
    XfrmOutPolDead,

    /// <summary>Policy error, outbound.</summary>
    XfrmOutPolError,

    /// <summary>Header error of a forwarded packet.</summary>
    XfrmFwdHdrError,

    /// <summary>SA not valid.</summary>
    XfrmOutStateInvalid,

    /// <summary>A packet met an SA that is not complete yet.</summary>
    XfrmAcquireError,

    /// <summary>SA has the other direction, outbound.</summary>
    XfrmOutStateDirError,

    /// <summary>SA has the other direction, inbound.</summary>
    XfrmInStateDirError,

    /// <summary>IPTFS error.</summary>
    XfrmInIptfsError,

    /// <summary>No room in a queue.</summary>
    XfrmOutNoQueueSpace,
}

/// <summary>From <see cref="DropReason"/> to the kernel's counters.</summary>
public static class DropReasonStatistics
{
    /// <summary>
    /// The kernel's counter that is nearest to a reason. <see cref="XfrmStatistic.None"/> for <see cref="DropReason.None"/> and for a
    /// dummy packet, which RFC 4303 §2.6 wants discarded without an indication of error (Linux counts it as XfrmInStateProtoError).
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="reason"/> is no reason.</exception>
    public static XfrmStatistic ToXfrmStatistic(this DropReason reason) => reason switch
    {
        DropReason.None or DropReason.InboundDummy => XfrmStatistic.None,
        DropReason.InboundOversized => XfrmStatistic.XfrmInBufferError,
        DropReason.InboundMalformedEsp => XfrmStatistic.XfrmInStateProtoError,
        DropReason.InboundIkeWithoutDaemon => XfrmStatistic.XfrmInError,
        DropReason.InboundIkeTooLarge => XfrmStatistic.XfrmInBufferError,
        DropReason.InboundIkeRefused => XfrmStatistic.XfrmInError,
        DropReason.InboundReservedSpi => XfrmStatistic.XfrmInNoStates,
        DropReason.InboundUnknownSpi => XfrmStatistic.XfrmInNoStates,
        DropReason.InboundSaLarval => XfrmStatistic.XfrmAcquireError,
        DropReason.InboundSaNotValid => XfrmStatistic.XfrmInStateInvalid,
        DropReason.InboundSaExpired => XfrmStatistic.XfrmInStateExpired,
        DropReason.InboundSaDirection => XfrmStatistic.XfrmInStateDirError,
        DropReason.InboundEncapsulationMismatch => XfrmStatistic.XfrmInStateMismatch,
        DropReason.InboundReplayed => XfrmStatistic.XfrmInStateSeqError,
        DropReason.InboundOutsideReplayWindow => XfrmStatistic.XfrmInStateSeqError,
        DropReason.InboundIntegrityFailure => XfrmStatistic.XfrmInStateProtoError,
        DropReason.InboundBadPadding => XfrmStatistic.XfrmInStateProtoError,
        DropReason.InboundBadNextHeader => XfrmStatistic.XfrmInStateModeError,
        DropReason.InboundMalformedInner => XfrmStatistic.XfrmInStateModeError,
        DropReason.InboundEcnForbidden => XfrmStatistic.XfrmInStateModeError,
        DropReason.InboundSelectorMismatch => XfrmStatistic.XfrmInStateMismatch,
        DropReason.InboundNoPolicy => XfrmStatistic.XfrmInNoPols,
        DropReason.InboundPolicyBlock => XfrmStatistic.XfrmInPolBlock,
        DropReason.InboundTemplateMismatch => XfrmStatistic.XfrmInTmplMismatch,
        DropReason.InboundFragmentWithoutPorts => XfrmStatistic.XfrmInPolError,
        DropReason.InboundTunRefused => XfrmStatistic.XfrmInError,
        DropReason.OutboundMalformedInner => XfrmStatistic.XfrmOutError,
        DropReason.OutboundOversized => XfrmStatistic.XfrmOutError,
        DropReason.OutboundNoPolicy => XfrmStatistic.XfrmOutPolBlock,
        DropReason.OutboundPolicyBlock => XfrmStatistic.XfrmOutPolBlock,
        DropReason.OutboundNoSa => XfrmStatistic.XfrmOutNoStates,
        DropReason.OutboundSaNotValid => XfrmStatistic.XfrmOutStateInvalid,
        DropReason.OutboundSaExpired => XfrmStatistic.XfrmOutStateExpired,
        DropReason.OutboundSequenceExhausted => XfrmStatistic.XfrmOutStateSeqError,
        DropReason.OutboundTooBig => XfrmStatistic.XfrmOutStateModeError,
        DropReason.OutboundFragmentWithoutPorts => XfrmStatistic.XfrmOutPolError,
        DropReason.OutboundTransformFailure => XfrmStatistic.XfrmOutStateProtoError,
        DropReason.OutboundSendFailure => XfrmStatistic.XfrmOutError,
        DropReason.OutboundBypassFailure => XfrmStatistic.XfrmOutError,
        DropReason.OutboundBypassLoop => XfrmStatistic.XfrmOutError,
        DropReason.PoolEmpty => XfrmStatistic.XfrmInBufferError,
        _ => throw new ArgumentOutOfRangeException(nameof(reason), reason, "Not a drop reason."),
    };
}
