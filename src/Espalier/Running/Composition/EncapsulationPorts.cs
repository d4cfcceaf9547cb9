using Espalier.DataPlane;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Server;

namespace Espalier.Running.Composition;

/// <summary>Ports of IKE daemons: those on which the data plane receives already.</summary>
internal sealed class EncapsulationPorts(DataPlaneHost dataPlane) : IEncapsulationPorts
{
    /// <inheritdoc/>
    public string? Open(InternetAddress local, ushort port) =>
        dataPlane.Sockets.Any(socket => socket.Version == local.Version && socket.LocalPort == port)
            ? null
            : $"Espalier does not receive on UDP port {port}: start it with --encap-port {port}";

    /// <inheritdoc/>
    public void Close(InternetAddress local, ushort port)
    {
        // It stays the data plane's.
    }
}
