using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;

namespace Espalier.DataPlane;

/// <summary>
/// What the data plane works on: the kernel's devices, or devices in memory. They stay their owner's, who disposes them after the host;
/// only sockets that <paramref name="Sockets"/> opened are the host's.
/// </summary>
/// <param name="Workers">For each pair of workers, of which there is one at least, what no other pair uses.</param>
/// <param name="Sockets">Opens the outer side. More than one pair needs <see cref="IOuterSocketFactory.SharesPorts"/>.</param>
/// <param name="Bypass">Sends in clear, for any thread; null = such packets are dropped.</param>
/// <param name="Icmp">Sends ICMP errors, for any thread; null = none are sent.</param>
public sealed record DataPlaneDevices(
    IReadOnlyList<WorkerDevices> Workers, IOuterSocketFactory Sockets, IBypassSender? Bypass, IIcmpSender? Icmp)
{
    /// <summary>For one pair of workers.</summary>
    public DataPlaneDevices(ITunnelDevice tunnel, IOuterSocketFactory sockets, IBypassSender? bypass, IIcmpSender? icmp, IPortRelay? relay = null)
        : this([new WorkerDevices(tunnel, tunnel, relay)], sockets, bypass, icmp)
    {
    }
}

/// <summary>What belongs to one pair of workers, an outbound and an inbound one.</summary>
/// <param name="Reader">Where the outbound worker reads.</param>
/// <param name="Writer">Where the inbound worker writes; may be the same.</param>
/// <param name="Relay">By which the inbound worker gives IKE to the daemon's own socket; null = it is dropped.</param>
public sealed record WorkerDevices(ITunnelDevice Reader, ITunnelDevice Writer, IPortRelay? Relay = null);
