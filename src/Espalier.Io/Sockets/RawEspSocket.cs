using Espalier.Io.Interop;

namespace Espalier.Io.Sockets;

/// <summary>
/// Raw socket of one address family for ESP as IP protocol 50 (RFC 4303 §2). The kernel reassembles fragments before, and writes the IP
/// header on sending. It hands every ESP packet for this host to every such socket.
/// </summary>
public sealed class RawEspSocket : OuterSocket
{
    private RawEspSocket(SafeDescriptor descriptor, OuterSocketOptions options)
        : base(descriptor, options, isRaw: true)
    {
        if (options.SendOnly)
        {
            SocketOptions.ReceiveNothing(descriptor);
        }

        int errno = options.BindAddress.IsUnspecified ? 0 : Bind(descriptor, options, port: 0);
        if (errno != 0)
        {
            throw errno == Errno.EADDRNOTAVAIL
                ? new DeviceException($"{options.BindAddress} is not an address of this host: bind to one that is", errno)
                : DeviceException.From("cannot bind the raw ESP socket", errno);
        }
    }

    /// <inheritdoc/>
    public override ushort LocalPort => 0;

    /// <summary>Opens the socket in the calling thread's network namespace.</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static RawEspSocket Open(OuterSocketOptions options)
    {
        var descriptor = Open(options, Interop.Socket.SOCK_RAW, Ip.IPPROTO_ESP, "a raw ESP socket");
        try
        {
            return new RawEspSocket(descriptor, options);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }
}
