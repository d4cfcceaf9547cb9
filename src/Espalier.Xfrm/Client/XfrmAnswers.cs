using Espalier.Ipsec.Algorithms;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Xfrm.Client;

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
