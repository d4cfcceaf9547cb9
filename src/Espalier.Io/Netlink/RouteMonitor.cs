using Espalier.Io.Interop;

namespace Espalier.Io.Netlink;

/// <summary>What changed since the monitor was last drained.</summary>
[Flags]
public enum RouteChanges
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Interfaces.</summary>
    Links = 1,

    /// <summary>Addresses of interfaces.</summary>
    Addresses = 2,

    /// <summary>Routes of the local table: what this host delivers to itself.</summary>
    LocalRoutes = 4,

    /// <summary>Other routes.</summary>
    Routes = 8,

    /// <summary>Everything: the kernel lost notifications (ENOBUFS), so all must be read again.</summary>
    All = Links | Addresses | LocalRoutes | Routes,
}

/// <summary>
/// Tells that links, addresses or routes changed, not how: the reader reads anew. Routes of one protocol, Espalier's own, are left out by a filter in
/// the kernel, so that installing thousands of them wakes nobody. Non-blocking; owned by one thread.
/// </summary>
public sealed unsafe class RouteMonitor : IDisposable
{
    private const int BufferSize = 16 * 1024;
    private const uint LocalTable = 255;

    private readonly SafeDescriptor _descriptor;
    private readonly byte[] _buffer = new byte[BufferSize];

    /// <summary>Opens the socket and subscribes; changes from now on are told.</summary>
    /// <param name="ignoredProtocol">RTPROT_* whose routes are not told; 0 = none.</param>
    /// <param name="wanted">What is to be told.</param>
    /// <exception cref="IOException">The kernel has no netlink, or no descriptor is free.</exception>
    public RouteMonitor(byte ignoredProtocol, RouteChanges wanted = RouteChanges.All)
    {
        _descriptor = new SafeDescriptor(
            Libc.socket(Socket.AF_NETLINK, Socket.SOCK_RAW | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK, Nl.NETLINK_ROUTE));
        if (_descriptor.IsInvalid)
        {
            throw new IOException($"Cannot open a netlink socket: {Errno.Text(Errno.Last)}");
        }

        if (ignoredProtocol != 0)
        {
            AttachFilter(ignoredProtocol);
        }

        var address = new sockaddr_nl
        {
            nl_family = Socket.AF_NETLINK,
            nl_groups = ((wanted & RouteChanges.Links) != 0 ? Bit(Rtnetlink.RTNLGRP_LINK) : 0)
                | ((wanted & RouteChanges.Addresses) != 0 ? Bit(Rtnetlink.RTNLGRP_IPV4_IFADDR) | Bit(Rtnetlink.RTNLGRP_IPV6_IFADDR) : 0)
                | ((wanted & (RouteChanges.LocalRoutes | RouteChanges.Routes)) != 0 ? Bit(Rtnetlink.RTNLGRP_IPV4_ROUTE) | Bit(Rtnetlink.RTNLGRP_IPV6_ROUTE) : 0),
        };
        if (Libc.bind(_descriptor, &address, (uint)sizeof(sockaddr_nl)) != 0)
        {
            int errno = Errno.Last;
            _descriptor.Dispose();
            throw new IOException($"Cannot subscribe to routing changes: {Errno.Text(errno)}");
        }
    }

    /// <summary>Descriptor to poll for reading.</summary>
    public int PollDescriptor => _descriptor.Number;

    /// <summary>Times that notifications were lost because they came faster than they were read.</summary>
    public long Overruns { get; private set; }

    /// <summary>Takes all notifications that wait and tells what they were about.</summary>
    public RouteChanges Drain()
    {
        var changes = RouteChanges.None;
        fixed (byte* pointer = _buffer)
        {
            while (true)
            {
                nint length = Libc.recvfrom(_descriptor, pointer, (nuint)_buffer.Length, 0, null, null);
                if (length >= 0)
                {
                    changes |= Classify(_buffer.AsSpan(0, (int)length));
                    continue;
                }

                switch (Errno.Last)
                {
                    case Errno.EINTR:
                        continue;
                    case Errno.EAGAIN:
                        return changes;
                    case Errno.ENOBUFS:
                        Overruns++;
                        changes = RouteChanges.All;
                        continue;
                    default:
                        throw new IOException($"Cannot receive routing changes: {Errno.Text(Errno.Last)}");
                }
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _descriptor.Dispose();

    private static RouteChanges Classify(ReadOnlySpan<byte> datagram)
    {
        var changes = RouteChanges.None;
        var reader = new NetlinkReader(datagram);
        while (reader.TryNext(out var message))
        {
            changes |= message.Type switch
            {
                Rtnetlink.RTM_NEWLINK or Rtnetlink.RTM_DELLINK => RouteChanges.Links,
                Rtnetlink.RTM_NEWADDR or Rtnetlink.RTM_DELADDR => RouteChanges.Addresses,
                Rtnetlink.RTM_NEWROUTE or Rtnetlink.RTM_DELROUTE =>
                    RouteNetlink.TryParseRoute(message, out var route) && route.Table == LocalTable ? RouteChanges.LocalRoutes : RouteChanges.Routes,
                _ => RouteChanges.None,
            };
        }

        return changes;
    }

    /// <summary>
    /// A classic BPF program over nlmsghdr and rtmsg: drops RTM_NEWROUTE and RTM_DELROUTE whose rtm_protocol is the given one.
    /// Half words are loaded in network byte order, nlmsg_type stands in host byte order.
    /// </summary>
    private void AttachFilter(byte protocol)
    {
        const uint TypeOffset = 4, ProtocolOffset = 16 + 5;
        static uint Swapped(ushort type) => BitConverter.IsLittleEndian ? System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(type) : type;
        var program = stackalloc sock_filter[]
        {
            new sock_filter(Nl.BPF_LD_H_ABS, 0, 0, TypeOffset),
            new sock_filter(Nl.BPF_JMP_JEQ_K, 1, 0, Swapped(Rtnetlink.RTM_NEWROUTE)),
            new sock_filter(Nl.BPF_JMP_JEQ_K, 0, 3, Swapped(Rtnetlink.RTM_DELROUTE)),
            new sock_filter(Nl.BPF_LD_B_ABS, 0, 0, ProtocolOffset),
            new sock_filter(Nl.BPF_JMP_JEQ_K, 0, 1, protocol),
            new sock_filter(Nl.BPF_RET_K, 0, 0, 0),
            new sock_filter(Nl.BPF_RET_K, 0, 0, uint.MaxValue),
        };
        var filter = new sock_fprog { len = 7, filter = program };

        // A kernel that refuses the filter sends more than is needed, and the rest still holds.
        _ = Libc.setsockopt(_descriptor, Socket.SOL_SOCKET, Nl.SO_ATTACH_FILTER, &filter, (uint)sizeof(sock_fprog));
    }

    private static uint Bit(int group) => 1u << (group - 1);
}
