using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>
/// Ports that an IKE daemon may bind beside our sockets at the moment. An admission that nobody ends, because its daemon died, ends by itself at the second
/// <see cref="Age"/>. Guarded by its owner's lock.
/// </summary>
internal sealed class PortAdmissions
{
    // True for one that stood at the last Age already.
    private readonly Dictionary<(IpVersion Version, ushort Port), bool> _isOld = [];

    /// <summary>True where a daemon may bind the port now.</summary>
    internal bool Stands(IpVersion version, ushort port) => _isOld.ContainsKey((version, port));

    /// <summary>A daemon is about to bind the port.</summary>
    internal void Begin(IpVersion version, ushort port) => _isOld[(version, port)] = false;

    /// <summary>It has.</summary>
    internal void End(IpVersion version, ushort port) => _isOld.Remove((version, port));

    /// <summary>Ends admissions that stood at the last call already.</summary>
    internal void Age()
    {
        foreach (var (key, isOld) in _isOld.ToArray())
        {
            if (isOld)
            {
                _isOld.Remove(key);
            }
            else
            {
                _isOld[key] = true;
            }
        }
    }
}
