using System.Buffers.Binary;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Sockets;

/// <summary>A raw socket that only sends. Whatever the kernel would deliver to it is refused by a filter, so that nothing piles up in its queue.</summary>
internal sealed unsafe class RawSendSocket : IDisposable
{
    private const int ErrorsAtOnce = 64;

    private readonly SafeDescriptor _descriptor;

    private RawSendSocket(SafeDescriptor descriptor) => _descriptor = descriptor;

    /// <summary>Opens it. Null: the host has no such address family.</summary>
    internal static RawSendSocket? TryOpen(IpVersion version, int protocol, uint mark, string what)
    {
        SafeDescriptor descriptor;
        try
        {
            descriptor = SocketOptions.Open(version == IpVersion.IPv4 ? Socket.AF_INET : Socket.AF_INET6, Socket.SOCK_RAW, protocol, what);
        }
        catch (DeviceException exception) when (exception.Error == Errno.EAFNOSUPPORT)
        {
            return null;
        }

        try
        {
            ReceiveNothing(descriptor, protocol);
            SocketOptions.SetMark(descriptor, mark);
            return new RawSendSocket(descriptor);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Sets an option of the socket.</summary>
    internal void Set(int level, int option, int value, string name) => SocketOptions.Set(_descriptor, level, option, value, name);

    /// <summary>
    /// Sends <paramref name="data"/> to <paramref name="destination"/>. With a <paramref name="source"/>, the route is looked up for it, as a
    /// forwarded packet's would be. Returns 0 or an errno.
    /// </summary>
    internal int Send(InternetAddress source, InternetAddress destination, ReadOnlySpan<byte> data)
    {
        byte* name = stackalloc byte[SocketAddress.Capacity];
        byte* control = stackalloc byte[ControlMessages.Space(sizeof(in6_pktinfo))];
        fixed (byte* start = data)
        {
            iovec vector = new() { iov_base = start, iov_len = (nuint)data.Length };
            msghdr header = new()
            {
                msg_name = name,
                msg_namelen = SocketAddress.Write(name, destination, port: 0, scope: 0),
                msg_iov = &vector,
                msg_iovlen = 1,
            };
            if (!source.IsUnspecified)
            {
                header.msg_control = control;
                header.msg_controllen = WriteSource(control, source);
            }

            return SingleMessage.Send(_descriptor, &header);
        }
    }

    /// <summary>
    /// What the kernel said of the MTU to a destination when it refused a packet there (SO_EE_ORIGIN_LOCAL; with IP_RECVERR or IPV6_RECVERR), 0 = nothing. Empties
    /// the error queue.
    /// </summary>
    internal int TakeMtu(InternetAddress destination)
    {
        int mtu = 0;
        for (int i = 0; i < ErrorsAtOnce && ErrorQueue.TryReceive(_descriptor, [], out var error); i++)
        {
            mtu = error.IsLocal && error.Remote == destination ? error.PathMtu : mtu;
        }

        return mtu;
    }

    public void Dispose() => _descriptor.Dispose();

    private static nuint WriteSource(byte* control, InternetAddress source)
    {
        byte* at = control;
        if (source.Version == IpVersion.IPv4)
        {
            var information = (in_pktinfo*)ControlMessages.Write(ref at, Ip.IPPROTO_IP, Ip.IP_PKTINFO, sizeof(in_pktinfo));
            *information = new in_pktinfo { ipi_spec_dst = SocketAddress.BigEndian((uint)source.Bits) };
        }
        else
        {
            var information = (in6_pktinfo*)ControlMessages.Write(ref at, Ip.IPPROTO_IPV6, Ip.IPV6_PKTINFO, sizeof(in6_pktinfo));
            BinaryPrimitives.WriteUInt128BigEndian(new Span<byte>(information->ipi6_addr, 16), source.Bits);
            information->ipi6_ifindex = 0;
        }

        return (nuint)(at - control);
    }

    private static void ReceiveNothing(SafeDescriptor descriptor, int protocol)
    {
        // ICMP's own filters come before the packet is cloned for the socket; they leave types that have no bit to the BPF filter.
        if (protocol == Ip.IPPROTO_ICMP)
        {
            SocketOptions.Set(descriptor, Ip.SOL_RAW, Ip.ICMP_FILTER, -1, "ICMP_FILTER");
        }
        else if (protocol == Ip.IPPROTO_ICMPV6)
        {
            icmp6_filter all;
            new Span<byte>(&all, sizeof(icmp6_filter)).Fill(0xFF);
            if (Libc.setsockopt(descriptor, Ip.SOL_ICMPV6, Ip.ICMP6_FILTER, &all, (uint)sizeof(icmp6_filter)) != 0)
            {
                throw DeviceException.FromLast("the kernel refuses the socket option ICMP6_FILTER");
            }
        }

        SocketOptions.ReceiveNothing(descriptor);
    }
}
