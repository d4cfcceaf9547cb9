using System.Diagnostics.CodeAnalysis;
using Espalier.Io;
using Espalier.Io.Batches;
using Espalier.Io.Sockets;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>Opens sockets of the kernel, bound to all addresses of the host, in the network namespace of the calling thread.</summary>
/// <param name="mark">Firewall mark of what they send, which exempts it from Espalier's own routing rules.</param>
/// <param name="receiveBuffer">Bytes of receive queue to ask for, 0 = the socket's own default.</param>
public sealed class KernelOuterSocketFactory(uint mark, int receiveBuffer = 0) : IOuterSocketFactory
{
    /// <summary>True once a socket got less receive queue than it asked for, because SO_RCVBUFFORCE was refused: the start should say so.</summary>
    public bool ReceiveBufferLimited { get; private set; }

    /// <inheritdoc/>
    public bool TryOpen(
        IpVersion version, ushort localPort, [NotNullWhen(true)] out IOuterSocket? socket, [NotNullWhen(false)] out string? error)
    {
        var options = new OuterSocketOptions { Version = version, Port = localPort, Mark = mark };
        if (receiveBuffer > 0)
        {
            options = options with { ReceiveBuffer = receiveBuffer };
        }

        try
        {
            OuterSocket opened = localPort == 0 ? RawEspSocket.Open(options) : UdpEncapsulationSocket.Open(options);
            ReceiveBufferLimited |= !opened.ReceiveBufferForced;
            socket = opened;
            error = null;
            return true;
        }
        catch (DeviceException exception)
        {
            socket = null;
            error = exception.Message;
            return false;
        }
    }
}
