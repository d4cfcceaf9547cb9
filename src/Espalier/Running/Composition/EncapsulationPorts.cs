using Espalier.DataPlane;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Server;

namespace Espalier.Running.Composition;

/// <summary>Ports of IKE daemons: the data plane receives on them too.</summary>
internal sealed class EncapsulationPorts(DataPlaneHost dataPlane) : IEncapsulationPorts
{
    /// <inheritdoc/>
    public string? Open(InternetAddress local, ushort port) => dataPlane.OpenEncapsulationPort(local, port);

    /// <inheritdoc/>
    public void Admit(InternetAddress local, ushort port) => dataPlane.AdmitDaemon(local, port);

    /// <inheritdoc/>
    public void Close(InternetAddress local, ushort port) => dataPlane.CloseEncapsulationPort(local, port);
}
