namespace Espalier.Ipsec;

/// <summary>
/// Why a packet was discarded. Every discarded packet has exactly one reason and is counted once under it;
/// <c>XfrmStatistic</c> names the kernel counter that is nearest.
/// </summary>
public enum DropReason : byte
{
    /// <summary>Not dropped.</summary>
    None = 0,

    // Inbound, before decryption.

    /// <summary>Larger than a buffer: the kernel cut it off.</summary>
    InboundOversized,

    /// <summary>Shorter than an ESP header, IV, trailer and ICV, or not a multiple of the cipher's block (RFC 4303 §2).</summary>
    InboundMalformedEsp,

    /// <summary>An IKE message (non-ESP marker, RFC 3948 §2.2) on a socket that no IKE daemon shares.</summary>
    InboundIkeWithoutDaemon,

    /// <summary>An IKE message larger than the loopback device carries, by which it is given to its daemon.</summary>
    InboundIkeTooLarge,

    /// <summary>The kernel refused an IKE message that was to be given to its daemon (loopback device down, no buffer space).</summary>
    InboundIkeRefused,

    /// <summary>SPI 0, or one of the reserved SPIs 1 to 255 (RFC 4303 §2.1) that no SA has.</summary>
    InboundReservedSpi,

    /// <summary>No SA has this SPI and destination.</summary>
    InboundUnknownSpi,

    /// <summary>The SA is larval: its peer already sends, and the IKE daemon has not installed it yet.</summary>
    InboundSaLarval,

    /// <summary>The SA is dead or in error.</summary>
    InboundSaNotValid,

    /// <summary>The SA has reached a hard lifetime.</summary>
    InboundSaExpired,

    /// <summary>The SA was set up for sending only (XFRMA_SA_DIR).</summary>
    InboundSaDirection,

    /// <summary>UDP-encapsulated where the SA is not, or the reverse.</summary>
    InboundEncapsulationMismatch,

    /// <summary>Sequence number received before (RFC 4303 §3.4.3).</summary>
    InboundReplayed,

    /// <summary>Sequence number left of the window, or zero.</summary>
    InboundOutsideReplayWindow,

    /// <summary>ICV wrong (RFC 4303 §3.4.4).</summary>
    InboundIntegrityFailure,

    // Inbound, after decryption.

    /// <summary>Pad length larger than the packet (RFC 4303 §2.5).</summary>
    InboundBadPadding,

    /// <summary>Next header is neither 4, 41 nor 59, or does not fit the inner version.</summary>
    InboundBadNextHeader,

    /// <summary>The inner IP header is malformed or its length exceeds the payload.</summary>
    InboundMalformedInner,

    /// <summary>A dummy packet (next header 59, RFC 4303 §2.6): discarded quietly.</summary>
    InboundDummy,

    /// <summary>Outer CE over an inner header that is not ECN-capable (RFC 6040 §4.2).</summary>
    InboundEcnForbidden,

    /// <summary>The inner packet is outside the SA's own selector (RFC 4301 §5.2).</summary>
    InboundSelectorMismatch,

    /// <summary>No policy covers the inner packet.</summary>
    InboundNoPolicy,

    /// <summary>A policy that blocks covers the inner packet.</summary>
    InboundPolicyBlock,

    /// <summary>The policy asks for another SA than the one that protected the packet.</summary>
    InboundTemplateMismatch,

    /// <summary>A non-initial fragment whose ports decide, and whose first fragment was not seen (RFC 4301 §7).</summary>
    InboundFragmentWithoutPorts,

    /// <summary>The TUN refused the packet.</summary>
    InboundTunRefused,

    // Outbound.

    /// <summary>The packet from the TUN is no valid IPv4 or IPv6 packet.</summary>
    OutboundMalformedInner,

    /// <summary>Larger than a buffer, or longer than an outer packet can be.</summary>
    OutboundOversized,

    /// <summary>No policy covers the packet, and the default for outbound is to block.</summary>
    OutboundNoPolicy,

    /// <summary>A policy that blocks covers the packet.</summary>
    OutboundPolicyBlock,

    /// <summary>The policy has no SA yet; an ACQUIRE was or is being sent.</summary>
    OutboundNoSa,

    /// <summary>The SA is larval, dead or in error.</summary>
    OutboundSaNotValid,

    /// <summary>The SA has reached a hard lifetime.</summary>
    OutboundSaExpired,

    /// <summary>The SA's sequence numbers are used up (RFC 4303 §3.3.3).</summary>
    OutboundSequenceExhausted,

    /// <summary>Too large for the path and not to be fragmented: an ICMP error was sent.</summary>
    OutboundTooBig,

    /// <summary>A non-initial fragment whose ports decide, and whose first fragment was not seen (RFC 4301 §7).</summary>
    OutboundFragmentWithoutPorts,

    /// <summary>The transform failed.</summary>
    OutboundTransformFailure,

    /// <summary>The kernel refused the outer packet (no route, no buffer space, message too long).</summary>
    OutboundSendFailure,

    /// <summary>A packet that is to pass in clear could not be sent.</summary>
    OutboundBypassFailure,

    /// <summary>A packet that is to pass in clear came back to the TUN: a routing loop.</summary>
    OutboundBypassLoop,

    // Both.

    /// <summary>No batch was free in the pool.</summary>
    PoolEmpty,

    /// <summary>Number of reasons; not a reason.</summary>
    Count,
}
