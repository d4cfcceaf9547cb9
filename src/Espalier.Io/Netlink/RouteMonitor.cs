using System.Buffers.Binary;
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

    /// <summary>Another removed rules or routes of the protocol that is left out otherwise: our own.</summary>
    Own = 16,

    /// <summary>Everything: the kernel lost notifications (ENOBUFS), so all must be read again.</summary>
    All = Links | Addresses | LocalRoutes | Routes | Own,
}

/// <summary>
/// Tells that links, addresses or routes changed, not how: the reader reads anew. Routes of one protocol, Espalier's own, are left out by a filter in
/// the kernel, so that installing and removing thousands of them wakes nobody; but that another removed some, or rules of that protocol, is told.
/// Non-blocking; owned by one thread.
/// </summary>
public sealed unsafe class RouteMonitor : IDisposable
{
    private const int BufferSize = 16 * 1024;
    private const uint LocalTable = 255;

    private readonly SafeDescriptor _descriptor;
    private readonly byte[] _buffer = new byte[BufferSize];
    private readonly byte _ownProtocol;

    /// <summary>Opens the socket and subscribes; changes from now on are told.</summary>
    /// <param name="ignoredProtocol">RTPROT_* whose routes are not told; 0 = none, and no <see cref="RouteChanges.Own"/>.</param>
    /// <param name="wanted">What is to be told.</param>
    /// <param name="self">Whose removals are not told as <see cref="RouteChanges.Own"/>: <see cref="RouteNetlink.PortId"/>.</param>
    /// <exception cref="IOException">The kernel has no netlink, or no descriptor is free.</exception>
    public RouteMonitor(byte ignoredProtocol, RouteChanges wanted = RouteChanges.All, uint self = 0)
    {
        _ownProtocol = ignoredProtocol;
        _descriptor = new SafeDescriptor(
            Libc.socket(Socket.AF_NETLINK, Socket.SOCK_RAW | Socket.SOCK_CLOEXEC | Socket.SOCK_NONBLOCK, Nl.NETLINK_ROUTE));
        if (_descriptor.IsInvalid)
        {
            throw new IOException($"Cannot open a netlink socket: {Errno.Text(Errno.Last)}");
        }

        if (ignoredProtocol != 0)
        {
            AttachFilter(ignoredProtocol, self);
        }

        var address = new sockaddr_nl
        {
            nl_family = Socket.AF_NETLINK,
            nl_groups = ((wanted & RouteChanges.Links) != 0 ? Bit(Rtnetlink.RTNLGRP_LINK) : 0)
                | ((wanted & RouteChanges.Addresses) != 0 ? Bit(Rtnetlink.RTNLGRP_IPV4_IFADDR) | Bit(Rtnetlink.RTNLGRP_IPV6_IFADDR) : 0)
                | ((wanted & (RouteChanges.LocalRoutes | RouteChanges.Routes)) != 0 ? Bit(Rtnetlink.RTNLGRP_IPV4_ROUTE) | Bit(Rtnetlink.RTNLGRP_IPV6_ROUTE) : 0)
                | ((wanted & RouteChanges.Own) != 0 && ignoredProtocol != 0 ? Bit(Rtnetlink.RTNLGRP_IPV4_RULE) | Bit(Rtnetlink.RTNLGRP_IPV6_RULE) : 0),
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

    private RouteChanges Classify(ReadOnlySpan<byte> datagram)
    {
        var changes = RouteChanges.None;
        var reader = new NetlinkReader(datagram);
        while (reader.TryNext(out var message))
        {
            changes |= message.Type switch
            {
                Rtnetlink.RTM_NEWLINK or Rtnetlink.RTM_DELLINK => RouteChanges.Links,
                Rtnetlink.RTM_NEWADDR or Rtnetlink.RTM_DELADDR => RouteChanges.Addresses,
                Rtnetlink.RTM_NEWROUTE or Rtnetlink.RTM_DELROUTE => ClassifyRoute(message),
                Rtnetlink.RTM_DELRULE when RouteNetlink.TryParseRule(message, out var rule) && IsOwn(rule.Protocol) => RouteChanges.Own,
                _ => RouteChanges.None,
            };
        }

        return changes;
    }

    private RouteChanges ClassifyRoute(in NetlinkMessage message) =>
        !RouteNetlink.TryParseRoute(message, out var route) ? RouteChanges.Routes
        : IsOwn(route.Protocol) ? message.Type == Rtnetlink.RTM_DELROUTE ? RouteChanges.Own : RouteChanges.None
        : route.Table == LocalTable ? RouteChanges.LocalRoutes : RouteChanges.Routes;

    private bool IsOwn(byte protocol) => _ownProtocol != 0 && protocol == _ownProtocol;

    /// <summary>
    /// A classic BPF program over nlmsghdr and rtmsg or fib_rule_hdr. It drops, of routes with the rtm_protocol given, RTM_NEWROUTE, and RTM_DELROUTE where
    /// the kernel itself (nlmsg_pid 0: the device went, which is told) or <paramref name="self"/> removed them; RTM_NEWRULE; and RTM_DELRULE of <paramref name="self"/>.
    /// Loads are in network byte order, the fields of nlmsghdr stand in host byte order.
    /// </summary>
    private void AttachFilter(byte protocol, uint self)
    {
        const uint TypeOffset = 4, RequesterOffset = 12, ProtocolOffset = 16 + 5;
        const int Requester = 9, Drop = 12, Accept = 13, Length = 14;
        static uint Swapped16(ushort type) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(type) : type;
        static uint Swapped32(uint value) => BitConverter.IsLittleEndian ? BinaryPrimitives.ReverseEndianness(value) : value;
        static sock_filter If(int at, uint equal, int then, int otherwise) => new(Nl.BPF_JMP_JEQ_K, (byte)(then - at - 1), (byte)(otherwise - at - 1), equal);
        var program = stackalloc sock_filter[Length]
        {
            new sock_filter(Nl.BPF_LD_H_ABS, 0, 0, TypeOffset),
            If(1, Swapped16(Rtnetlink.RTM_NEWRULE), Drop, 2),
            If(2, Swapped16(Rtnetlink.RTM_DELRULE), Requester, 3),
            If(3, Swapped16(Rtnetlink.RTM_NEWROUTE), 5, 4),
            If(4, Swapped16(Rtnetlink.RTM_DELROUTE), 7, Accept),
            new sock_filter(Nl.BPF_LD_B_ABS, 0, 0, ProtocolOffset),
            If(6, protocol, Drop, Accept),
            new sock_filter(Nl.BPF_LD_B_ABS, 0, 0, ProtocolOffset),
            If(8, protocol, Requester, Accept),
            new sock_filter(Nl.BPF_LD_W_ABS, 0, 0, RequesterOffset),
            If(10, 0, Drop, 11),
            If(11, Swapped32(self), Drop, Accept),
            new sock_filter(Nl.BPF_RET_K, 0, 0, 0),
            new sock_filter(Nl.BPF_RET_K, 0, 0, uint.MaxValue),
        };
        var filter = new sock_fprog { len = Length, filter = program };

        // A kernel that refuses the filter sends more than is needed, and the rest still holds.
        _ = Libc.setsockopt(_descriptor, Socket.SOL_SOCKET, Nl.SO_ATTACH_FILTER, &filter, (uint)sizeof(sock_fprog));
    }

    private static uint Bit(int group) => 1u << (group - 1);
}
