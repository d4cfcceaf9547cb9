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
