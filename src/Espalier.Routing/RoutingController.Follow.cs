using Espalier.Io.Netlink;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Guard;
using Espalier.Routing.Routes;
using Espalier.Wire.Addresses;

namespace Espalier.Routing;

public sealed partial class RoutingController
{
    // XFRM_SA_DIR_OUT.
    private const byte OutboundDirection = 2;

    private readonly Dictionary<SecurityAssociation, ushort> _encapsulationPorts = [];
    private readonly Dictionary<ushort, int> _portUsers = [];

    /// <summary>Addresses and links are followed soon, the host's other routes, of which there may be many, later.</summary>
    private int GatherTime => (_pending & ~RouteChanges.Routes) != 0 ? GatherMilliseconds : GatherRoutesMilliseconds;

    private void OnPolicyAdded(SecurityPolicy policy)
    {
        if (_rules.ContainsKey(policy.Selector.Version))
        {
            var guarded = new GuardPolicy(policy);
            _guarded[policy] = guarded;
            _guard?.Add(guarded);
            if (policy.Direction == PolicyDirection.Out)
            {
                Catch(policy);
            }
        }
    }

    private void OnPolicyRemoved(SecurityPolicy policy)
    {
        if (_guarded.RemoveAndShrink(policy, out var guarded))
        {
            _guard?.Remove(guarded);
            if (policy.Direction == PolicyDirection.Out)
            {
                Release(policy);
            }
        }
    }

    /// <summary>Routes before rules: once a rule catches, there is a route.</summary>
    private void Catch(SecurityPolicy policy)
    {
        try
        {
            ReadMonitor();
            _routes!.Add(policy);
            if (CatchEntry.Catches(policy))
            {
                Report(_rules[policy.Selector.Version].Add(policy));
            }
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(_logger, failure.Message);
            Postpone(RouteChanges.All);
        }
    }

    private void Release(SecurityPolicy policy)
    {
        _routes!.Remove(policy);
        if (CatchEntry.Catches(policy))
        {
            _rules[policy.Selector.Version].Remove(policy);
        }
    }

    private void Settle()
    {
        foreach (var rules in _rules.Values)
        {
            Report(rules.Settle());
        }

        _routes!.Settle();
    }

    private void Report(IReadOnlyList<NetlinkError> errors)
    {
        foreach (var error in errors)
        {
            RoutingLog.RuleRefused(_logger, error.ToString());
        }
    }

    private void OnAssociationAdded(SecurityAssociation association)
    {
        if (association.Transform is null || !_rules.ContainsKey(association.Source.Version))
        {
            return;
        }

        try
        {
            if (!LocalAddresses.IsLocal(association.Source) && !LocalAddresses.IsLocal(association.Id.Destination))
            {
                // An address that was added a moment ago.
                ReadMonitor();
            }

            bool outbound = IsOutbound(association);
            if (association.Encapsulation is { } encapsulation)
            {
                OpenPort(association, outbound ? encapsulation.SourcePort : encapsulation.DestinationPort);
            }

            if (outbound)
            {
                MeasurePath(association.Id.Destination, association.Source);
                _tunnelMtu.Add(association);
            }
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(_logger, failure.Message);
            Postpone(RouteChanges.All);
        }
    }

    private void OnAssociationRemoved(SecurityAssociation association)
    {
        _tunnelMtu.Remove(association);
        if (_encapsulationPorts.RemoveAndShrink(association, out ushort port) && --_portUsers[port] == 0)
        {
            _portUsers.Remove(port);
            PublishPorts();
        }
    }

    private bool IsOutbound(SecurityAssociation association) =>
        association.SaDirection == OutboundDirection || (association.SaDirection == 0 && LocalAddresses.IsLocal(association.Source));

    private void OpenPort(SecurityAssociation association, ushort port)
    {
        if (_encapsulationPorts.TryAdd(association, port))
        {
            int users = _portUsers.GetValueOrDefault(port);
            _portUsers[port] = users + 1;
            if (users == 0)
            {
                PublishPorts();
            }
        }
    }

    private void PublishPorts() => _guard?.SetPorts([.. _options.IkePorts, .. _portUsers.Keys]);

    private void MeasurePath(InternetAddress destination, InternetAddress source)
    {
        if (_tunnelMtu.HasDestination(destination))
        {
            return;
        }

        _paths.SetRouteMtu(destination, RouteMtu(destination, source));
    }

    /// <summary>MTU of the route to a peer, or of its interface; 0 = no route.</summary>
    private int RouteMtu(InternetAddress destination, InternetAddress source)
    {
        if (_netlink.QueryRoute(destination, source, _options.Mark) is not { } route)
        {
            return 0;
        }

        // Not route.Mtu: there the kernel puts what any ICMP error has told it, forged or not.
        int device = _netlink.GetLink(route.OutputInterface).Mtu;
        int configured = _netlink.QueryConfiguredMtu(destination, source, _options.Mark);
        return configured != 0 ? Math.Min(configured, device) : device;
    }

    private void UpdatePath(InternetAddress destination)
    {
        using (_database.Freeze())
        {
            _tunnelMtu.Update(destination);
        }

        RoutingLog.PathMtu(_logger, destination, _paths[destination]);
    }

    private void AgePaths()
    {
        foreach (var destination in _paths.Expire())
        {
            UpdatePath(destination);
        }
    }

    private void ApplyTunnelMtu()
    {
        int mtu = _tunnelMtu.Current(_rules.ContainsKey(IpVersion.IPv6));
        if (mtu != _mtu)
        {
            _netlink.SetLink(_tunnel.Index, new LinkChange { Mtu = mtu });
            _mtu = mtu;
            RoutingLog.TunnelMtu(_logger, _tunnel.Name, mtu);
        }
    }

    /// <summary>Takes the notifications that wait. Local addresses are followed at once, because policies of the next request may need them.</summary>
    private void ReadMonitor()
    {
        var changes = _monitor.Drain();
        if ((changes & RouteChanges.LocalRoutes) != 0)
        {
            LocalAddresses.Refresh(_netlink);
        }

        if ((changes & (RouteChanges.Addresses | RouteChanges.LocalRoutes)) != 0)
        {
            _sources.Refresh();
        }

        Postpone(changes);
    }

    private void Postpone(RouteChanges changes)
    {
        if (changes != RouteChanges.None && _pending == RouteChanges.None)
        {
            _pendingSince = Environment.TickCount64;
        }

        _pending |= changes;
    }

    /// <summary>Brings routes and MTUs up to date with the host, once its changes have had time to gather.</summary>
    private void FollowHost()
    {
        if (_pending == RouteChanges.None || Environment.TickCount64 - _pendingSince < GatherTime)
        {
            return;
        }

        _pending = RouteChanges.None;
        _sources.Refresh();
        _routes!.ChooseSources();
        _routes.Settle();
        _routes.Reconcile(_versions);
        using (_database.Freeze())
        {
            FollowAssociations();
        }
    }

    /// <summary>Which SAs are outbound, and over which MTU, depends on addresses, routes and links.</summary>
    private void FollowAssociations()
    {
        HashSet<InternetAddress> measured = [];
        foreach (var association in _database.Sad.All)
        {
            if (association.Transform is null || !_rules.ContainsKey(association.Source.Version))
            {
                continue;
            }

            if (!IsOutbound(association))
            {
                _tunnelMtu.Remove(association);
                continue;
            }

            var destination = association.Id.Destination;
            if (measured.Add(destination) && _paths.SetRouteMtu(destination, RouteMtu(destination, association.Source)))
            {
                UpdatePath(destination);
            }

            _tunnelMtu.Add(association);
        }
    }

    /// <summary>Follows XFRM_MSG_SETDEFAULT: out policies that block all, and what the guard does with packets that no policy covers.</summary>
    private void FollowDefaults()
    {
        foreach (var direction in (ReadOnlySpan<PolicyDirection>)[PolicyDirection.In, PolicyDirection.Out, PolicyDirection.Forward])
        {
            bool blocks = _database.Spd.DefaultBlocks[(int)direction];
            if (blocks == _defaultBlocks[(int)direction])
            {
                continue;
            }

            _defaultBlocks[(int)direction] = blocks;
            _guard?.SetDefault(direction, blocks);
            if (direction == PolicyDirection.Out)
            {
                FollowOutboundDefault(blocks);
            }
        }
    }

    private void FollowOutboundDefault(bool blocks)
    {
        foreach (var policy in _defaultPolicies)
        {
            Release(policy);
        }

        _defaultPolicies.Clear();
        if (blocks)
        {
            _defaultPolicies.AddRange(DefaultPolicies(_versions));
            _defaultPolicies.ForEach(Catch);
        }
    }
}
