using Espalier.Io.Netlink;
using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Addresses;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Routes;

/// <summary>
/// Keeps Espalier's two routing tables in step with the out policies: for each destination prefix a route into the TUN and behind it, with a worse
/// metric, an unreachable one, which remains when a crash takes the TUN away. Prefixes are counted, so that policies share them. A policy that comes is
/// written at once; what goes is written by <see cref="Settle"/>, so that a policy that is replaced leaves no gap. Owned by the control thread.
/// </summary>
internal sealed class CatchRoutes(RouteNetlink netlink, SourceAddresses sources, RoutingOptions options, uint tunnelIndex, Action<AddressPrefix, string> refused)
{
    // RT_SCOPE_LINK: a route without a gateway.
    private const byte ScopeLink = 253;

    // An IKE daemon that looks for its way to the peer in all tables must find every other default route better than the relay's.
    private const uint LastResort = uint.MaxValue;

    // The same in every network namespace.
    private const uint LoopbackIndex = 1;

    private readonly Dictionary<AddressPrefix, CatchEntry> _entries = [];
    private HashSet<CatchEntry> _dirty = [];
    private readonly HashSet<CatchEntry> _passing = [];
    private readonly int[] _caughtByLength = new int[129 * 2];

    /// <summary>Number of destination prefixes.</summary>
    internal int Count => _entries.Count;

    /// <summary>Routes that the kernel refused so far.</summary>
    internal long Refused { get; private set; }

    /// <summary>
    /// To the loopback device, for the look-up of rp_filter: what is relayed to a socket of this host through that device comes from where its source is.
    /// </summary>
    private RouteEntry Relay => new(AddressPrefix.AllIPv4, options.RelayTable) { Protocol = options.Protocol, OutputInterface = LoopbackIndex, Scope = ScopeLink, Metric = LastResort };

    /// <summary>Writes the route that always stands.</summary>
    internal void Install() => Write([new RouteChange(RouteOperation.Replace, Relay)]);

    /// <summary>Adds an out policy and writes its routes.</summary>
    internal void Add(SecurityPolicy policy)
    {
        var prefix = policy.Selector.Destination.Canonical;
        if (!_entries.TryGetValue(prefix, out var entry))
        {
            _entries[prefix] = entry = new CatchEntry(prefix);
        }

        bool wasCaught = entry.IsCaught;
        entry.Add(policy, SourceOf);
        Recount(entry, wasCaught);
        Apply([entry]);
    }

    /// <summary>Takes an out policy away; its routes go with <see cref="Settle"/>.</summary>
    internal void Remove(SecurityPolicy policy)
    {
        if (_entries.TryGetValue(policy.Selector.Destination.Canonical, out var entry))
        {
            bool wasCaught = entry.IsCaught;
            entry.Remove(policy);
            Recount(entry, wasCaught);
            _dirty.Add(entry);
        }
    }

    /// <summary>Writes what waited.</summary>
    internal void Settle()
    {
        if (_dirty.Count == 0)
        {
            return;
        }

        foreach (var entry in _dirty)
        {
            if (entry.NeedsSource)
            {
                entry.ChooseSource(SourceOf);
            }
        }

        Apply([.. _dirty]);
        foreach (var entry in _dirty)
        {
            if (entry.IsEmpty)
            {
                _entries.RemoveAndShrink(entry.Prefix);
            }
        }

        _dirty = [];
    }

    /// <summary>Chooses all sources anew: addresses or routes of the host changed.</summary>
    internal void ChooseSources()
    {
        foreach (var entry in _entries.Values)
        {
            entry.ChooseSource(SourceOf);
            _dirty.Add(entry);
        }
    }

    /// <summary>
    /// Compares the tables with what they should hold and mends them: the kernel removes IPv4 routes whose source address goes, and all routes of a
    /// device that goes down, without a word; and others may remove some. Returns how many were missing.
    /// </summary>
    internal int Reconcile(IReadOnlyList<IpVersion> versions)
    {
        HashSet<RouteEntry> there = [];
        foreach (var version in versions)
        {
            foreach (uint table in options.Tables)
            {
                foreach (var route in netlink.GetRoutes(version, table, options.Protocol))
                {
                    there.Add(Comparable(route));
                }
            }
        }

        var wanted = _entries.Values.SelectMany(entry => RoutesOf(entry.Prefix, entry.Applied)).Append(Relay);
        List<RouteChange> missing = [.. wanted.Where(route => !there.Contains(Comparable(route))).Select(static route => new RouteChange(RouteOperation.Replace, route))];
        Write(missing);
        return missing.Count;
    }

    /// <summary>Removes all routes of Espalier's protocol from its tables, also those that a crash left.</summary>
    internal static void Clear(RouteNetlink netlink, RoutingOptions options, IReadOnlyList<IpVersion> versions)
    {
        List<RouteChange> changes = [];
        foreach (var version in versions)
        {
            foreach (uint table in options.Tables)
            {
                changes.AddRange(netlink.GetRoutes(version, table, options.Protocol).Select(static route => new RouteChange(RouteOperation.Delete, route)));
            }
        }

        foreach (var error in netlink.ApplyRoutes(changes))
        {
            throw new NetlinkException($"remove route {changes[error.Index].Route.Destination}", error.ErrorNumber, error.KernelText);
        }
    }

    private InternetAddress SourceOf(SecurityPolicy policy) => sources.Choose(
        policy.Selector.Source, policy.Selector.Destination, policy.Templates.Count > 0 ? policy.Templates[0].Destination : default);

    private void Recount(CatchEntry entry, bool wasCaught)
    {
        if (entry.HasPassing)
        {
            _passing.Add(entry);
        }
        else
        {
            _passing.RemoveAndShrink(entry);
        }

        if (entry.IsCaught != wasCaught)
        {
            _caughtByLength[LengthIndex(entry.Prefix)] += entry.IsCaught ? 1 : -1;

            // Whether policies that let pass need a route depends on what is caught around them.
            foreach (var passing in _passing)
            {
                _dirty.Add(passing);
            }
        }
    }

    private static int LengthIndex(AddressPrefix prefix) => prefix.Length + (prefix.Version == IpVersion.IPv4 ? 0 : 129);

    /// <summary>True where a shorter prefix that is caught contains this one.</summary>
    private bool IsCovered(AddressPrefix prefix)
    {
        for (int length = prefix.Length - 1; length >= 0; length--)
        {
            var around = new AddressPrefix(prefix.Address.Masked(length), length);
            if (_caughtByLength[LengthIndex(around)] > 0 && _entries.TryGetValue(around, out var entry) && entry.IsCaught)
            {
                return true;
            }
        }

        return false;
    }

    private void Apply(IReadOnlyList<CatchEntry> entries)
    {
        List<RouteChange> changes = [];
        foreach (var entry in entries)
        {
            var desired = entry.Desired(entry.HasPassing && !entry.IsCaught && IsCovered(entry.Prefix));
            if (desired == entry.Applied)
            {
                continue;
            }

            var wanted = RoutesOf(entry.Prefix, desired);
            foreach (var route in RoutesOf(entry.Prefix, entry.Applied))
            {
                if (!wanted.Exists(other => other.Table == route.Table && other.Metric == route.Metric))
                {
                    changes.Add(new RouteChange(RouteOperation.Delete, route));
                }
            }

            changes.AddRange(wanted.Select(static route => new RouteChange(RouteOperation.Replace, route)));
            entry.Applied = desired;
        }

        Write(changes);
    }

    /// <summary>
    /// Writes changes. A route whose source address the kernel refuses, because it went meanwhile, is written without one: packets must be caught all
    /// the same. Only the one into the TUN for packets without a source makes no sense then.
    /// </summary>
    private void Write(List<RouteChange> changes)
    {
        List<RouteChange> again = [];
        foreach (var error in netlink.ApplyRoutes(changes))
        {
            var change = changes[error.Index];
            Refused++;
            refused(change.Route.Destination, error.ToString());
            if (change.Route.PreferredSource.Version != IpVersion.None && (change.Route.Table == options.Table || change.Route.OutputInterface == LoopbackIndex))
            {
                again.Add(change with { Route = change.Route with { PreferredSource = default } });
            }
        }

        foreach (var error in netlink.ApplyRoutes(again))
        {
            refused(again[error.Index].Route.Destination, error.ToString());
        }
    }

    private List<RouteEntry> RoutesOf(AddressPrefix prefix, CatchState state)
    {
        List<RouteEntry> routes = [];
        if (state.IsCaught)
        {
            Pair(options.Table, state.Source, true);
        }

        if (state.ForUnspecified)
        {
            Pair(options.UnspecifiedSourceTable, state.Source, state.IsCaught);
            if (prefix.Version == IpVersion.IPv6 && state.IsCaught)
            {
                routes.Add(DeadEnd(prefix, state.Source));
            }
        }

        return routes;

        void Pair(uint table, InternetAddress source, bool unreachable)
        {
            var route = new RouteEntry(prefix, table) { Protocol = options.Protocol };
            routes.Add(route with
            {
                Metric = RoutingOptions.TunnelMetric,
                OutputInterface = tunnelIndex,
                PreferredSource = source,
                // A gateway that somebody's route names is looked up without a source, among routes of link scope (fib_check_nh): it is not in the tunnel.
                Scope = table == options.Table ? ScopeLink : (byte)0,
            });
            if (unreachable)
            {
                routes.Add(route with { Metric = RoutingOptions.UnreachableMetric, Type = RouteType.Unreachable });
            }
        }
    }

    /// <summary>
    /// IPv6, after a crash: where a packet without a source meets an unreachable route, the kernel chooses a source of its own and looks again with it
    /// (ip6_dst_lookup_tail), past our tables. So a route to the loopback device stands before that one: it gives the packet the policy's source, with
    /// which the next look-up ends at the unreachable route of table T. A packet that gets into the loopback device all the same dies there of its hop limit.
    /// </summary>
    private RouteEntry DeadEnd(AddressPrefix prefix, InternetAddress source) => new(prefix, options.UnspecifiedSourceTable)
    {
        Protocol = options.Protocol,
        Metric = RoutingOptions.DeadEndMetric,
        OutputInterface = LoopbackIndex,
        PreferredSource = source,
        HopLimit = 1,
    };

    /// <summary>What the kernel gives back: IPv6 has no scopes, and an unreachable route of IPv6 names the loopback device.</summary>
    private static RouteEntry Comparable(RouteEntry route) => route with
    {
        Scope = 0,
        OutputInterface = route.Type == RouteType.Unreachable ? 0 : route.OutputInterface,
    };
}
