using Espalier.DataPlane.Batches;
using Espalier.DataPlane.PathMtu;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Workers;

/// <summary>What the pipelines of all workers share. Nothing in it changes after start.</summary>
internal sealed class PipelineEnvironment
{
    /// <summary>SAD, SPD, events.</summary>
    public required IpsecDatabase Database { get; init; }

    /// <summary>Where batches come from that packets of the TUN are read into.</summary>
    public required BatchPool Pool { get; init; }

    /// <summary>Where batches come from that outer sockets are read into.</summary>
    public required BatchPool ReceivePool { get; init; }

    /// <summary>The inner side.</summary>
    public required ITunnelDevice Tunnel { get; init; }

    /// <summary>The outer side.</summary>
    public required OuterSocketTable Sockets { get; init; }

    /// <summary>Which addresses are this host's.</summary>
    public required ILocalAddresses LocalAddresses { get; init; }

    /// <summary>Sends in clear; null = what would pass in clear is dropped as <see cref="DropReason.OutboundBypassFailure"/>.</summary>
    public IBypassSender? Bypass { get; init; }

    /// <summary>Sends ICMP errors; null = none are sent.</summary>
    public IIcmpSender? Icmp { get; init; }

    /// <summary>Gives IKE to its daemon; null = it is dropped as <see cref="DropReason.InboundIkeWithoutDaemon"/>. The inbound worker's.</summary>
    public IPortRelay? Relay { get; init; }

    /// <summary>Outer path MTU of an SA that has none yet.</summary>
    public int DefaultPathMtu { get; init; } = 1500;

    /// <summary>What the kernel said of its own interfaces.</summary>
    public LocalPathMtu LocalPathMtu { get; } = new();
}
