using Espalier.DataPlane.Batches;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Workers;

/// <summary>What the pipelines share, and what one pair of workers has for itself. Nothing in it changes after start.</summary>
internal sealed record PipelineEnvironment
{
    /// <summary>SAD, SPD, events.</summary>
    public required IpsecDatabase Database { get; init; }

    /// <summary>Where batches come from that packets of the TUN are read into.</summary>
    public required BatchPool Pool { get; init; }

    /// <summary>Where batches come from that outer sockets are read into.</summary>
    public required BatchPool ReceivePool { get; init; }

    /// <summary>Number of the pair of workers, from 0. The first has what there is only once.</summary>
    public int Worker { get; init; }

    /// <summary>Pairs of workers.</summary>
    public int WorkerCount { get; init; } = 1;

    /// <summary>Several workers seal packets of one SA at once.</summary>
    public bool Spread { get; init; }

    /// <summary>The pair's own: inner side, and relay.</summary>
    public required WorkerDevices Devices { get; init; }

    /// <summary>The outer side.</summary>
    public required OuterSocketTable Sockets { get; init; }

    /// <summary>Which addresses are this host's.</summary>
    public required ILocalAddresses LocalAddresses { get; init; }

    /// <summary>Sends in clear; null = what would pass in clear is dropped as <see cref="DropReason.OutboundBypassFailure"/>.</summary>
    public IBypassSender? Bypass { get; init; }

    /// <summary>Sends ICMP errors; null = none are sent.</summary>
    public IIcmpSender? Icmp { get; init; }

    /// <summary>Outer path MTU of an SA that has none yet.</summary>
    public int DefaultPathMtu { get; init; } = 1500;

    /// <summary>What the kernel said of its own interfaces.</summary>
    public LocalPathMtu LocalPathMtu { get; } = new();

    /// <summary>For one worker; null where there is no other beside it. An SA between two addresses of this host is used in both directions.</summary>
    public SaClaims? CreateClaims(bool inbound, int capacity) => WorkerCount > 1 ? new SaClaims((2 * Worker) + (inbound ? 2 : 1), capacity) : null;
}
