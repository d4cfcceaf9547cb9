using Espalier.Io.Netlink;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Microsoft.Extensions.Logging;

namespace Espalier.Routing.Mtu;

/// <summary>
/// The ways that ESP takes: measures the MTU to each peer of an outbound SA, follows what ICMP reports about it, tells the SAs, and sets the TUN's MTU by them.
/// <code>
/// route or interface ─┐
/// ICMP (Learn) ───────┴▶ <see cref="OuterPathMtu"/> ─▶ PathMtu of each SA ─▶ <see cref="Mtu.TunnelMtu"/> ─▶ the TUN
/// </code>
/// Owned by the control thread.
/// </summary>
internal sealed class TunnelPaths
{
    private readonly IpsecDatabase _database;
    private readonly RouteNetlink _netlink;
    private readonly uint _mark;
    private readonly ILogger _logger;
    private readonly OuterPathMtu _paths;
    private readonly TunnelMtu _tunnelMtu;
    private LinkInfo _tunnel;
    private bool _withIPv6;

    internal TunnelPaths(IpsecDatabase database, RouteNetlink netlink, uint mark, ILogger logger)
    {
        _database = database;
        _netlink = netlink;
        _mark = mark;
        _logger = logger;
        _paths = new OuterPathMtu(database.Clock);
        _tunnelMtu = new TunnelMtu(_paths);
    }

    /// <summary>The MTU that the TUN has, in bytes; 0 before the start.</summary>
    internal int TunnelMtu { get; private set; }

    /// <summary>Time until <see cref="Age"/> has something to do; null = no path MTU was learnt.</summary>
    internal TimeSpan? UntilExpiry => _paths.UntilExpiry();

    /// <summary>Takes the TUN, and chooses the MTU that it is to be set up with.</summary>
    internal void Start(LinkInfo tunnel, bool withIPv6)
    {
        _tunnel = tunnel;
        _withIPv6 = withIPv6;
        TunnelMtu = _tunnelMtu.Current(withIPv6);
    }

    /// <summary>Counts an outbound SA and tells it the MTU of its path. Workers frozen.</summary>
    /// <exception cref="NetlinkException">The kernel does not say what route there is.</exception>
    internal void Add(SecurityAssociation association)
    {
        var destination = association.Id.Destination;
        if (!_tunnelMtu.HasDestination(destination))
        {
            _paths.SetRouteMtu(destination, RouteMtu(destination, association.Source));
        }

        _tunnelMtu.Add(association);
    }

    /// <summary>Forgets an SA that went or is not outbound (any more).</summary>
    internal void Remove(SecurityAssociation association) => _tunnelMtu.Remove(association);

    /// <summary>Measures the paths of all outbound SAs anew. Workers frozen.</summary>
    /// <exception cref="NetlinkException">The kernel does not say what route there is.</exception>
    internal void Measure(IEnumerable<SecurityAssociation> outbound)
    {
        HashSet<InternetAddress> measured = [];
        foreach (var association in outbound)
        {
            var destination = association.Id.Destination;
            if (measured.Add(destination) && _paths.SetRouteMtu(destination, RouteMtu(destination, association.Source)))
            {
                Update(destination);
            }

            _tunnelMtu.Add(association);
        }
    }

    /// <summary>Takes an MTU that ICMP reported about a packet of an SA, in bytes of the outer packet.</summary>
    internal void Learn(SecurityAssociation association, int mtu)
    {
        var destination = association.Id.Destination;
        if (_tunnelMtu.HasDestination(destination) && _paths.Learn(destination, mtu))
        {
            Update(destination);
        }
    }

    /// <summary>Forgets what was learnt too long ago.</summary>
    internal void Age()
    {
        foreach (var destination in _paths.Expire())
        {
            Update(destination);
        }
    }

    /// <summary>Sets the TUN's MTU where it is to be another one.</summary>
    /// <exception cref="NetlinkException">The kernel refused.</exception>
    internal void ApplyToTunnel()
    {
        int mtu = _tunnelMtu.Current(_withIPv6);
        if (mtu != TunnelMtu)
        {
            _netlink.SetLink(_tunnel.Index, new LinkChange { Mtu = mtu });
            TunnelMtu = mtu;
            RoutingLog.TunnelMtu(_logger, _tunnel.Name, mtu);
        }
    }

    /// <summary>MTU of the route to a peer, or of its interface; 0 = no route.</summary>
    private int RouteMtu(InternetAddress destination, InternetAddress source)
    {
        if (_netlink.QueryRoute(destination, source, _mark) is not { } route)
        {
            return 0;
        }

        // Not route.Mtu: there the kernel puts what any ICMP error has told it, forged or not.
        int device = _netlink.GetLink(route.OutputInterface).Mtu;
        int configured = _netlink.QueryConfiguredMtu(destination, source, _mark);
        return configured != 0 ? Math.Min(configured, device) : device;
    }

    private void Update(InternetAddress destination)
    {
        using (_database.Freeze())
        {
            _tunnelMtu.Update(destination);
        }

        RoutingLog.PathMtu(_logger, destination, _paths[destination]);
    }
}
