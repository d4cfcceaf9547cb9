using System.Runtime.InteropServices;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Netlink;

/// <summary>How a route is written.</summary>
public enum RouteOperation
{
    /// <summary>Makes it, or puts it in the place of the one with the same prefix, table and metric.</summary>
    Replace,

    /// <summary>Removes it.</summary>
    Delete,
}

/// <summary>One change of a route.</summary>
public readonly record struct RouteChange(RouteOperation Operation, RouteEntry Route);

public sealed partial class RouteNetlink
{
    private const int RouteHeaderLength = 12;

    /// <summary>
    /// Makes, replaces and removes routes in their order, many in a system call. Routes to be removed that are not there are left aside.
    /// Returns what was refused, with the index of the change.
    /// </summary>
    public IReadOnlyList<NetlinkError> ApplyRoutes(IReadOnlyList<RouteChange> changes)
    {
        var errors = Batch(changes, static (writer, change) => WriteRoute(writer, change));
        errors.RemoveAll(error => error.ErrorNumber == Errno.ESRCH && changes[error.Index].Operation == RouteOperation.Delete);
        return errors;
    }

    /// <summary>The routes of one table, of one family, made by one protocol (0 = any).</summary>
    public IReadOnlyList<RouteEntry> GetRoutes(IpVersion version, uint table, byte protocol = 0)
    {
        var writer = Start();
        writer.Begin(Rtnetlink.RTM_GETROUTE, Nl.NLM_F_DUMP, RouteHeaderLength)[0] = FamilyOf(version);
        writer.End();
        return _socket.Dump(
            writer, $"list {version} routes",
            (in NetlinkMessage message, out RouteEntry route) =>
                TryParseRoute(message, out route) && route.Table == table && (protocol == 0 || route.Protocol == protocol));
    }

    /// <summary>
    /// The route that the kernel takes for a packet to <paramref name="destination"/> with this firewall mark, with the source it has or would get;
    /// null where there is none.
    /// </summary>
    public RouteEntry? QueryRoute(InternetAddress destination, InternetAddress source, uint mark) => QueryRoute(destination, source, mark, 0);

    /// <summary>
    /// The MTU that is configured with that route; 0 = none. Unlike <see cref="RouteEntry.Mtu"/> of the route found, it never is what the kernel
    /// learnt from ICMP errors, which it does not verify as we do.
    /// </summary>
    public int QueryConfiguredMtu(InternetAddress destination, InternetAddress source, uint mark) =>
        QueryRoute(destination, source, mark, Rtnetlink.RTM_F_FIB_MATCH)?.Mtu ?? 0;

    private RouteEntry? QueryRoute(InternetAddress destination, InternetAddress source, uint mark, uint flags)
    {
        var writer = Start();
        var header = writer.Begin(Rtnetlink.RTM_GETROUTE, 0, RouteHeaderLength);
        header[0] = FamilyOf(destination.Version);
        header[1] = (byte)destination.BitLength;
        header[2] = (byte)(source.IsUnspecified ? 0 : source.BitLength);
        MemoryMarshal.Write(header[8..], flags);
        writer.Attribute(Rtnetlink.RTA_DST, destination);
        if (!source.IsUnspecified)
        {
            writer.Attribute(Rtnetlink.RTA_SRC, source);
        }

        writer.Attribute(Rtnetlink.RTA_MARK, mark);
        writer.End();
        RouteEntry? found = null;
        var errors = _socket.Transact(writer, (in NetlinkMessage message) =>
        {
            if (TryParseRoute(message, out var route) && route.Type is not (RouteType.Unreachable or RouteType.Blackhole or RouteType.Prohibit))
            {
                found = route;
            }
        });
        return errors.Count == 0 ? found : null;
    }

    /// <summary>struct rtmsg: family, lengths of destination and source prefix, TOS, table, protocol, scope, type, flags (32 bits).</summary>
    private static void WriteRoute(NetlinkWriter writer, RouteChange change)
    {
        var route = change.Route;
        bool add = change.Operation == RouteOperation.Replace;
        var header = writer.Begin(
            add ? Rtnetlink.RTM_NEWROUTE : Rtnetlink.RTM_DELROUTE, add ? (ushort)(Nl.NLM_F_CREATE | Nl.NLM_F_REPLACE) : (ushort)0, RouteHeaderLength);
        header[0] = FamilyOf(route.Destination.Version);
        header[1] = (byte)route.Destination.Length;
        header[4] = Rtnetlink.RT_TABLE_UNSPEC;
        header[5] = route.Protocol;
        header[6] = add ? route.Scope : Rtnetlink.RT_SCOPE_NOWHERE;
        header[7] = (byte)route.Type;
        if (route.Destination.Length > 0)
        {
            writer.Attribute(Rtnetlink.RTA_DST, route.Destination.Canonical.Address);
        }

        writer.Attribute(Rtnetlink.RTA_TABLE, route.Table);
        writer.Attribute(Rtnetlink.RTA_PRIORITY, route.Metric);
        if (route.OutputInterface != 0)
        {
            writer.Attribute(Rtnetlink.RTA_OIF, route.OutputInterface);
        }

        if (route.Gateway.Version != IpVersion.None)
        {
            writer.Attribute(Rtnetlink.RTA_GATEWAY, route.Gateway);
        }

        if (add && route.PreferredSource.Version != IpVersion.None)
        {
            writer.Attribute(Rtnetlink.RTA_PREFSRC, route.PreferredSource);
        }

        WriteMetrics(writer, route);
        writer.End();
    }

    private static void WriteMetrics(NetlinkWriter writer, RouteEntry route)
    {
        if (route.Mtu == 0 && route.HopLimit == 0)
        {
            return;
        }

        int metrics = writer.BeginNested(Rtnetlink.RTA_METRICS);
        if (route.Mtu != 0)
        {
            writer.Attribute(Rtnetlink.RTAX_MTU, (uint)route.Mtu);
        }

        if (route.HopLimit != 0)
        {
            writer.Attribute(Rtnetlink.RTAX_HOPLIMIT, (uint)route.HopLimit);
        }

        writer.EndNested(metrics);
    }

    internal static bool TryParseRoute(in NetlinkMessage message, out RouteEntry route)
    {
        route = default;
        if (message.Type is not (Rtnetlink.RTM_NEWROUTE or Rtnetlink.RTM_DELROUTE) || message.Payload.Length < RouteHeaderLength)
        {
            return false;
        }

        var header = message.Payload;
        var version = VersionOf(header[0]);
        if (version == IpVersion.None)
        {
            return false;
        }

        route = new RouteEntry(new AddressPrefix(AnyOf(version), header[1]), header[4])
        {
            Protocol = header[5],
            Scope = header[6],
            Type = (RouteType)header[7],
        };
        var attributes = message.AttributesAfter(RouteHeaderLength);
        while (attributes.TryNext(out var attribute))
        {
            route = attribute.Type switch
            {
                Rtnetlink.RTA_DST => route with { Destination = new AddressPrefix(attribute.Address(version), header[1]) },
                Rtnetlink.RTA_TABLE => route with { Table = attribute.UInt32 },
                Rtnetlink.RTA_OIF => route with { OutputInterface = attribute.UInt32 },
                Rtnetlink.RTA_GATEWAY => route with { Gateway = attribute.Address(version) },
                Rtnetlink.RTA_PREFSRC => route with { PreferredSource = attribute.Address(version) },
                Rtnetlink.RTA_PRIORITY => route with { Metric = attribute.UInt32 },
                Rtnetlink.RTA_METRICS => WithMetrics(route, attribute.Nested),
                _ => route,
            };
        }

        return true;
    }

    private static RouteEntry WithMetrics(RouteEntry route, NetlinkAttributes metrics)
    {
        while (metrics.TryNext(out var metric))
        {
            route = metric.Type switch
            {
                Rtnetlink.RTAX_MTU => route with { Mtu = (int)metric.UInt32 },
                Rtnetlink.RTAX_HOPLIMIT => route with { HopLimit = (int)metric.UInt32 },
                _ => route,
            };
        }

        return route;
    }
}
