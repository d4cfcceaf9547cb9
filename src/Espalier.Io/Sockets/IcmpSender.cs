using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// Sends ICMP and ICMPv6 errors. The kernel writes the IP header and chooses its source: towards an address of this host, that address
/// itself; towards others, the address of the interface it leaves by. No mark: such errors follow the host's ordinary routes. The sockets
/// receive nothing. Any thread.
/// </summary>
public sealed class IcmpSender : IIcmpSender
{
    private readonly RawSendSocket? _ipv4;
    private readonly RawSendSocket? _ipv6;

    private IcmpSender(RawSendSocket? ipv4, RawSendSocket? ipv6)
    {
        _ipv4 = ipv4;
        _ipv6 = ipv6;
    }

    /// <summary>Opens the sockets of both families that the host has.</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static IcmpSender Open()
    {
        var ipv4 = RawSendSocket.TryOpen(IpVersion.IPv4, Ip.IPPROTO_ICMP, mark: 0, "a raw ICMP socket");
        try
        {
            return new IcmpSender(ipv4, RawSendSocket.TryOpen(IpVersion.IPv6, Ip.IPPROTO_ICMPV6, mark: 0, "a raw ICMPv6 socket"));
        }
        catch
        {
            ipv4?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public int Send(InternetAddress destination, ReadOnlySpan<byte> message)
    {
        var socket = destination.Version switch
        {
            IpVersion.IPv4 => _ipv4,
            IpVersion.IPv6 => _ipv6,
            _ => null,
        };
        return socket is null ? Errno.EAFNOSUPPORT : socket.Send(source: default, destination, message);
    }

    /// <summary>Closes the sockets.</summary>
    public void Dispose()
    {
        _ipv4?.Dispose();
        _ipv6?.Dispose();
    }
}
