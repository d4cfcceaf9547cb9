using System.Diagnostics.CodeAnalysis;
using Espalier.Io.Batches;
using Espalier.Io.Netlink;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>Opens outer sockets: the kernel's, or devices in memory.</summary>
public interface IOuterSocketFactory
{
    /// <summary>
    /// True: UDP ports are shared with an IKE daemon. What <see cref="TryOpen"/> opens for a port only sends, and <see cref="OpenReceiver"/> opens what
    /// receives, one socket for each interface. False: one socket sends and receives, and has the port alone.
    /// </summary>
    bool SharesPorts => false;

    /// <summary>
    /// Opens a UDP socket bound to <paramref name="localPort"/> on every address of <paramref name="version"/>, or with port 0 a raw ESP socket.
    /// Control thread.
    /// </summary>
    /// <param name="version">IPv4 or IPv6.</param>
    /// <param name="localPort">UDP port, 0 = raw ESP.</param>
    /// <param name="socket">The socket, owned by the caller.</param>
    /// <param name="error">Where it fails: one sentence that says why and what to do.</param>
    bool TryOpen(IpVersion version, ushort localPort, [NotNullWhen(true)] out IOuterSocket? socket, [NotNullWhen(false)] out string? error);

    /// <summary>
    /// Opens one more socket that sends from a port that <see cref="TryOpen"/> opened, for another outbound worker, and receives nothing. Control thread. Only
    /// with <see cref="SharesPorts"/>.
    /// </summary>
    /// <returns>Null, or one sentence that says why it cannot be had.</returns>
    string? OpenSender(IpVersion version, ushort localPort, out IOuterSocket? socket)
    {
        socket = null;
        return "this kind of socket serves one worker";
    }

    /// <summary>Opens a UDP socket that receives what comes to an address and port through one interface: of several for the same, one for each
    /// inbound worker, each a share of the peers. Control thread. Only with <see cref="SharesPorts"/>.</summary>
    /// <param name="local">An address of this host; 0.0.0.0 or :: for all.</param>
    /// <param name="port">UDP port.</param>
    /// <param name="link">The interface.</param>
    /// <param name="socket">The socket, owned by the caller; null where it failed or the interface is gone.</param>
    /// <returns>Null, or one sentence that says why it cannot be had. Not for an interface that is gone.</returns>
    string? OpenReceiver(InternetAddress local, ushort port, LinkInfo link, out IOuterSocket? socket)
    {
        socket = null;
        return "this kind of socket receives by itself";
    }
}
