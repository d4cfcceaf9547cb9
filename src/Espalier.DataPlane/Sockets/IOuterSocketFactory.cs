using System.Diagnostics.CodeAnalysis;
using Espalier.Io.Batches;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>Opens outer sockets: the kernel's, or devices in memory.</summary>
public interface IOuterSocketFactory
{
    /// <summary>
    /// Opens a UDP socket bound to <paramref name="localPort"/> on every address of <paramref name="version"/>, or with port 0 a raw ESP socket.
    /// Control thread.
    /// </summary>
    /// <param name="version">IPv4 or IPv6.</param>
    /// <param name="localPort">UDP port, 0 = raw ESP.</param>
    /// <param name="socket">The socket, owned by the caller.</param>
    /// <param name="error">Where it fails: one sentence that says why and what to do.</param>
    bool TryOpen(IpVersion version, ushort localPort, [NotNullWhen(true)] out IOuterSocket? socket, [NotNullWhen(false)] out string? error);
}
