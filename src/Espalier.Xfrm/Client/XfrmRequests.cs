using Espalier.Ipsec;
using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Xfrm.Client;

/// <summary>What <see cref="XfrmClient.AddSa"/> asks for: an ESP SA in tunnel mode. The algorithms' keys stay the caller's.</summary>
public sealed record SaRequest
{
    /// <summary>Outer source address.</summary>
    public required InternetAddress Source { get; init; }

    /// <summary>Outer destination address, of the same version.</summary>
    public required InternetAddress Destination { get; init; }

    /// <summary>SPI, 256 or larger.</summary>
    public required Spi Spi { get; init; }

    /// <summary>One AEAD, or encryption and authentication; names as of <c>ip xfrm</c>, keys with their salt.</summary>
    public required IReadOnlyList<AlgorithmSpec> Algorithms { get; init; }

    /// <summary>Ties the SA to policies.</summary>
    public uint ReqId { get; init; }

    /// <summary>Flags; <see cref="SaFlags.Esn"/> turns extended sequence numbers on and needs a <see cref="ReplayWindow"/>.</summary>
    public SaFlags Flags { get; init; } = SaFlags.AfUnspec;

    /// <summary>Extra flags.</summary>
    public SaExtraFlags ExtraFlags { get; init; }

    /// <summary>Anti-replay window in packets, 0 to 4,096.</summary>
    public int ReplayWindow { get; init; }

    /// <summary>UDP encapsulation, or null for protocol 50.</summary>
    public UdpEncapsulation? Encapsulation { get; init; }

    /// <summary>TFC padding length, 0 = none.</summary>
    public uint TfcPadding { get; init; }

    /// <summary>Limits.</summary>
    public LifetimeLimits Limits { get; init; } = LifetimeLimits.None;

    /// <summary>The SA's own selector; default = none.</summary>
    public TrafficSelector Selector { get; init; }

    /// <summary>Last outbound sequence number to go on from (needs REPLAY_VAL or REPLAY_ESN_VAL, which are sent then).</summary>
    public ulong OutboundSequence { get; init; }

    /// <summary>Highest inbound sequence number to go on from; all packets up to it count as received.</summary>
    public ulong InboundSequence { get; init; }

    /// <summary>Number of the ACQUIRE that this SA answers, 0 = none.</summary>
    public uint AcquireSequence { get; init; }
}

/// <summary>What <see cref="XfrmClient.AddPolicy"/> asks for.</summary>
public sealed record PolicyRequest
{
    /// <summary>Which packets.</summary>
    public required TrafficSelector Selector { get; init; }

    /// <summary>Which direction.</summary>
    public required PolicyDirection Direction { get; init; }

    /// <summary>Smaller wins.</summary>
    public uint Priority { get; init; }

    /// <summary>Allow or block.</summary>
    public PolicyAction Action { get; init; }

    /// <summary>Index, 0 = the data plane chooses.</summary>
    public uint Index { get; init; }

    /// <summary>The SA that packets need; null = in clear, or blocked.</summary>
    public PolicyTemplateRequest? Template { get; init; }

    /// <summary>Limits.</summary>
    public LifetimeLimits Limits { get; init; } = LifetimeLimits.None;
}

/// <summary>The tunnel of a <see cref="PolicyRequest"/>.</summary>
public sealed record PolicyTemplateRequest(InternetAddress Source, InternetAddress Destination, uint ReqId, Spi Spi = default);

/// <summary>An SA as the data plane answers it. The keys are copies; dispose of the algorithms to zero them.</summary>
public sealed record SaInfo
{
    /// <summary>SPI and destination.</summary>
    public required SaIdentity Id { get; init; }

    /// <summary>Outer source address.</summary>
    public required InternetAddress Source { get; init; }

    /// <summary>Ties the SA to policies.</summary>
    public uint ReqId { get; init; }

    /// <summary>Mode.</summary>
    public IpsecMode Mode { get; init; }

    /// <summary>Flags.</summary>
    public SaFlags Flags { get; init; }

    /// <summary>The SA's own selector.</summary>
    public TrafficSelector Selector { get; init; }

    /// <summary>Limits.</summary>
    public LifetimeLimits Limits { get; init; }

    /// <summary>Use so far.</summary>
    public LifetimeUsage Usage { get; init; }

    /// <summary>Packets left of the replay window.</summary>
    public uint ReplayWindowFailures { get; init; }

    /// <summary>Packets that the window held already.</summary>
    public uint ReplayFailures { get; init; }

    /// <summary>Packets whose ICV was wrong.</summary>
    public uint IntegrityFailures { get; init; }

    /// <summary>Last sequence number sent.</summary>
    public ulong OutboundSequence { get; init; }

    /// <summary>Highest sequence number received.</summary>
    public ulong InboundSequence { get; init; }

    /// <summary>Anti-replay window.</summary>
    public int ReplayWindow { get; init; }

    /// <summary>UDP encapsulation.</summary>
    public UdpEncapsulation? Encapsulation { get; init; }

    /// <summary>Number of the ACQUIRE that made it, or that it answers.</summary>
    public uint AcquireSequence { get; init; }

    /// <summary>Algorithms with keys; none in a larval SA.</summary>
    public IReadOnlyList<AlgorithmSpec> Algorithms { get; init; } = [];
}

/// <summary>A policy as the data plane answers it.</summary>
public sealed record PolicyInfo
{
    /// <summary>Which packets.</summary>
    public required TrafficSelector Selector { get; init; }

    /// <summary>Which direction.</summary>
    public PolicyDirection Direction { get; init; }

    /// <summary>Smaller wins.</summary>
    public uint Priority { get; init; }

    /// <summary>Index.</summary>
    public uint Index { get; init; }

    /// <summary>Allow or block.</summary>
    public PolicyAction Action { get; init; }

    /// <summary>Limits.</summary>
    public LifetimeLimits Limits { get; init; }

    /// <summary>Use so far.</summary>
    public LifetimeUsage Usage { get; init; }

    /// <summary>The SA that packets need, or null.</summary>
    public PolicyTemplateRequest? Template { get; init; }
}

/// <summary>What a notification is about.</summary>
public enum XfrmNotificationKind
{
    /// <summary>A message without a more special kind; see <see cref="XfrmNotification.MessageType"/>.</summary>
    Other,

    /// <summary>An SA was added (NEWSA) or changed (UPDSA).</summary>
    SaAdded,

    /// <summary>An SA was removed.</summary>
    SaDeleted,

    /// <summary>A policy was added (NEWPOLICY) or changed (UPDPOLICY).</summary>
    PolicyAdded,

    /// <summary>A policy was removed.</summary>
    PolicyDeleted,

    /// <summary>A policy lacks an SA.</summary>
    Acquire,

    /// <summary>An SA met a limit.</summary>
    Expired,

    /// <summary>The peer's address or port changed.</summary>
    Mapping,
}

/// <summary>One notification.</summary>
public sealed record XfrmNotification
{
    /// <summary>What it is about.</summary>
    public XfrmNotificationKind Kind { get; init; }

    /// <summary>nlmsg_type.</summary>
    public ushort MessageType { get; init; }

    /// <summary>The whole netlink message. May hold keys.</summary>
    public byte[] Message { get; init; } = [];

    /// <summary>The SA it names: of SaAdded, SaDeleted, Expired and Mapping; of Acquire the larval one.</summary>
    public SaIdentity Id { get; init; }

    /// <summary>Of Expired: a hard limit, the SA is gone.</summary>
    public bool Hard { get; init; }

    /// <summary>Of Acquire: number to put into <see cref="SaRequest.AcquireSequence"/>.</summary>
    public uint Sequence { get; init; }

    /// <summary>Of Acquire: the packet's own selector.</summary>
    public TrafficSelector Selector { get; init; }

    /// <summary>Of Acquire: the policy's. Of PolicyAdded and PolicyDeleted: the policy itself.</summary>
    public PolicyInfo? Policy { get; init; }

    /// <summary>Of Mapping: the new address.</summary>
    public InternetAddress PeerAddress { get; init; }

    /// <summary>Of Mapping: the new port.</summary>
    public ushort PeerPort { get; init; }
}
