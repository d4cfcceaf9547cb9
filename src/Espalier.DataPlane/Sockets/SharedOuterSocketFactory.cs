using System.Diagnostics.CodeAnalysis;
using Espalier.Io;
using Espalier.Io.Batches;
using Espalier.Io.Sockets;
using Espalier.Io.Sockets.SharedPort;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>
/// Opens sockets of the kernel whose UDP ports an IKE daemon may share (<see cref="SharedUdpPort"/>), in the network namespace of the calling thread.
/// </summary>
/// <param name="ports">The host's shared ports.</param>
/// <param name="options">How sockets are to be opened; version and port are those asked for.</param>
public sealed class SharedOuterSocketFactory(SharedPorts ports, OuterSocketOptions options) : IOuterSocketFactory
{
    private bool _limited;
    private bool _parked = true;
    private readonly List<SharedUdpPort> _opened = [];

    /// <summary>True once a socket got less receive queue than it asked for, because SO_RCVBUFFORCE was refused: the start should say so.</summary>
    public bool ReceiveBufferLimited => _limited || _opened.Exists(static port => !port.ReceiveBufferForced);

    /// <summary>False once a port was opened while the loopback interface was down, over which IKE goes to its daemon.</summary>
    public bool LoopbackIsUp => _parked;

    /// <inheritdoc/>
    public bool TryOpen(
        IpVersion version, ushort localPort, [NotNullWhen(true)] out IOuterSocket? socket, [NotNullWhen(false)] out string? error)
    {
        try
        {
            socket = Open(options with { Version = version, Port = localPort });
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

    private IOuterSocket Open(OuterSocketOptions wanted)
    {
        if (wanted.Port == 0)
        {
            var raw = RawEspSocket.Open(wanted);
            _limited |= !raw.ReceiveBufferForced;
            return raw;
        }

        var port = ports.Open(wanted);
        _opened.Add(port);
        _parked &= port.IsParked;
        return port;
    }
}
