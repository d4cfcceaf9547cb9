using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>
/// Sends inner packets in clear: raw sockets to which we give the whole IP header, marked so that Espalier's own routing rules pass them by.
/// The route is looked up for the packet's own source, as for a forwarded packet. The kernel writes the IPv4 header checksum and total
/// length, and an identification where it is 0; of an IPv6 packet it changes nothing.
/// </summary>
/// <remarks>
/// The kernel does not fragment such packets: one that is larger than the interface's MTU is refused with EMSGSIZE, DF or not, and <see cref="TakeMtu"/>
/// says how large it may be. Any thread; of two that are refused at once, one may not learn the MTU.
/// </remarks>
public sealed class BypassSender : IBypassSender
{
    private const int IPv4Header = 20;
    private const int IPv6Header = 40;
    private readonly RawSendSocket? _ipv4;
    private readonly RawSendSocket? _ipv6;

    private BypassSender(RawSendSocket? ipv4, RawSendSocket? ipv6)
    {
        _ipv4 = ipv4;
        _ipv6 = ipv6;
    }

    /// <summary>Opens the sockets of both families that the host has, with firewall mark <paramref name="mark"/> (0 = none).</summary>
    /// <exception cref="DeviceException">With one line that says what to do.</exception>
    public static BypassSender Open(uint mark)
    {
        var ipv4 = RawSendSocket.TryOpen(IpVersion.IPv4, Ip.IPPROTO_RAW, mark, "a raw IPv4 socket");
        RawSendSocket? ipv6 = null;
        try
        {
            ipv4?.Set(Ip.IPPROTO_IP, Ip.IP_HDRINCL, 1, "IP_HDRINCL");
            ipv4?.Set(Socket.SOL_SOCKET, Socket.SO_BROADCAST, 1, "SO_BROADCAST");
            ipv4?.Set(Ip.IPPROTO_IP, Ip.IP_RECVERR, 1, "IP_RECVERR");
            ipv6 = RawSendSocket.TryOpen(IpVersion.IPv6, Ip.IPPROTO_RAW, mark, "a raw IPv6 socket");
            ipv6?.Set(Ip.IPPROTO_IPV6, Ip.IPV6_HDRINCL, 1, "IPV6_HDRINCL");
            ipv6?.Set(Ip.IPPROTO_IPV6, Ip.IPV6_RECVERR, 1, "IPV6_RECVERR");

            // The route's source is that of a forwarded packet, which is no address of this host.
            ipv6?.Set(Ip.IPPROTO_IPV6, Ip.IPV6_FREEBIND, 1, "IPV6_FREEBIND");
            return new BypassSender(ipv4, ipv6);
        }
        catch
        {
            ipv4?.Dispose();
            ipv6?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public int Send(ReadOnlySpan<byte> packet)
    {
        int version = packet.IsEmpty ? 0 : packet[0] >> 4;
        return version switch
        {
            4 when packet.Length >= IPv4Header => _ipv4 is null
                ? Errno.EAFNOSUPPORT
                : _ipv4.Send(InternetAddress.ReadIPv4(packet[12..]), InternetAddress.ReadIPv4(packet[16..]), packet),
            6 when packet.Length >= IPv6Header => _ipv6 is null
                ? Errno.EAFNOSUPPORT
                : _ipv6.Send(InternetAddress.ReadIPv6(packet[8..]), InternetAddress.ReadIPv6(packet[24..]), packet),
            _ => Errno.EINVAL,
        };
    }

    /// <inheritdoc/>
    public int TakeMtu(InternetAddress destination) => (destination.Version == IpVersion.IPv4 ? _ipv4 : _ipv6)?.TakeMtu(destination) ?? 0;

    /// <summary>Closes the sockets.</summary>
    public void Dispose()
    {
        _ipv4?.Dispose();
        _ipv6?.Dispose();
    }
}
