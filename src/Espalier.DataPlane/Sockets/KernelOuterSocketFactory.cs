using System.Diagnostics.CodeAnalysis;
using Espalier.Io;
using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Io.Netlink;
using Espalier.Io.Sockets;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Sockets;

/// <summary>Opens sockets of the kernel, in the network namespace of the calling thread.</summary>
/// <param name="mark">Firewall mark of what they send, which exempts it from Espalier's own routing rules.</param>
/// <param name="receiveBuffer">Bytes of receive queue to ask for, 0 = the socket's own default.</param>
public sealed class KernelOuterSocketFactory(uint mark, int receiveBuffer = 0) : IOuterSocketFactory
{
    /// <inheritdoc/>
    public bool SharesPorts { get; init; }

    /// <summary>Inbound workers, over which peers are spread.</summary>
    public int Workers { get; init; } = 1;

    /// <summary>Send datagrams in messages that the kernel cuts (UDP_SEGMENT).</summary>
    public bool Segmentation { get; init; } = true;

    /// <summary>Take datagrams that the kernel joined as one (UDP_GRO).</summary>
    public bool ReceiveOffload { get; init; } = true;

    /// <summary>True once a socket got less receive queue than it asked for, because SO_RCVBUFFORCE was refused: the start should say so.</summary>
    public bool ReceiveBufferLimited { get; private set; }

    /// <summary>The errno by which the kernel refused UDP_GRO, which the start should say; 0 = it did not.</summary>
    public int ReceiveOffloadError { get; private set; }

    /// <summary>The errno by which the kernel refused UDP_SEGMENT when a socket was opened; 0 = it did not.</summary>
    public int SegmentationError { get; private set; }

    /// <inheritdoc/>
    public bool TryOpen(
        IpVersion version, ushort localPort, [NotNullWhen(true)] out IOuterSocket? socket, [NotNullWhen(false)] out string? error)
    {
        error = Open(Options(version, localPort) with { SendOnly = SharesPorts && localPort != 0 }, out socket, out _);
        return socket is not null;
    }

    /// <inheritdoc/>
    public string? OpenSender(IpVersion version, ushort localPort, out IOuterSocket? socket) =>
        Open(Options(version, localPort) with { SendOnly = true }, out socket, out _);

    /// <inheritdoc/>
    public string? OpenReceiver(InternetAddress local, ushort port, LinkInfo link, out IOuterSocket? socket)
    {
        string? error = Open(Options(local.Version, port) with { BindAddress = local, Interface = link.Name, InGroup = Workers > 1 }, out socket, out int errno);
        return errno == Errno.ENODEV ? null : error;
    }

    private OuterSocketOptions Options(IpVersion version, ushort port)
    {
        var options = new OuterSocketOptions { Version = version, Port = port, Mark = mark, Segmentation = Segmentation, ReceiveOffload = ReceiveOffload };
        return receiveBuffer > 0 ? options with { ReceiveBuffer = receiveBuffer } : options;
    }

    private string? Open(OuterSocketOptions options, out IOuterSocket? socket, out int errno)
    {
        try
        {
            OuterSocket opened = options.Port == 0 ? RawEspSocket.Open(options) : UdpEncapsulationSocket.Open(options);
            ReceiveBufferLimited |= !opened.ReceiveBufferForced;
            ReceiveOffloadError = Math.Max(ReceiveOffloadError, opened.ReceiveOffloadError);
            SegmentationError = Math.Max(SegmentationError, opened.SegmentationError);
            socket = opened;
            errno = 0;
            return null;
        }
        catch (DeviceException exception)
        {
            socket = null;
            errno = exception.Error;
            return exception.Message;
        }
    }
}
