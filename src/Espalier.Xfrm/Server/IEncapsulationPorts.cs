using Espalier.Wire.Addresses;

namespace Espalier.Xfrm.Server;

/// <summary>
/// The UDP ports of IKE daemons on which the data plane receives ESP in UDP (RFC 3948), and gives IKE to the daemon's own socket. Control thread only.
/// </summary>
public interface IEncapsulationPorts
{
    /// <summary>Takes ESP on a port over. Called once for an address and port, until <see cref="Close"/>.</summary>
    /// <param name="local">Address of the daemon's socket; 0.0.0.0 or :: for every address of this version.</param>
    /// <param name="port">Its port, in host byte order, not 0.</param>
    /// <returns>Null, or one sentence that says why it cannot be had.</returns>
    string? Open(InternetAddress local, ushort port);

    /// <summary>An IKE daemon is about to bind its socket to an address and port on which the data plane may receive already.</summary>
    void Admit(InternetAddress local, ushort port)
    {
    }

    /// <summary>Gives up what <see cref="Open"/> has taken over.</summary>
    void Close(InternetAddress local, ushort port);
}
