using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;

namespace Espalier.DataPlane;

/// <summary>
/// What the data plane works on: the kernel's devices, or devices in memory. They stay their owner's, who disposes them after the host;
/// only sockets that <paramref name="Sockets"/> opened are the host's.
/// </summary>
/// <param name="Tunnel">Inner side.</param>
/// <param name="Sockets">Opens the outer side.</param>
/// <param name="Bypass">Sends in clear; null = such packets are dropped.</param>
/// <param name="Icmp">Sends ICMP errors; null = none are sent.</param>
/// <param name="Relay">Gives IKE to the daemon's own socket; null = it is dropped.</param>
public sealed record DataPlaneDevices(
    ITunnelDevice Tunnel, IOuterSocketFactory Sockets, IBypassSender? Bypass, IIcmpSender? Icmp, IPortRelay? Relay = null);
