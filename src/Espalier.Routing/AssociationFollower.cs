using Espalier.Io.Netlink;
using Espalier.Ipsec.Sad;
using Espalier.Routing.Addresses;
using Espalier.Routing.Guard;
using Espalier.Routing.Mtu;
using Espalier.Wire.Addresses;
using Microsoft.Extensions.Logging;

namespace Espalier.Routing;

/// <summary>SAD → the guard's exempt ports, and the paths of outbound SAs. Owned by the control thread.</summary>
internal sealed class AssociationFollower(
    SecurityAssociationDatabase associations, IReadOnlyList<IpVersion> versions, LocalAddresses addresses, ExemptPorts ports, TunnelPaths paths, HostFollower host, ILogger logger)
{
    // XFRM_SA_DIR_OUT.
    private const byte OutboundDirection = 2;

    /// <summary>Takes over what the SAD holds, and follows it. The database is frozen.</summary>
    internal void Start()
    {
        associations.Added += Add;
        associations.Removed += Remove;
        associations.PortsChanged += ChangePort;
        foreach (var association in associations.All)
        {
            Add(association);
        }
    }

    /// <summary>Follows no longer.</summary>
    internal void Stop()
    {
        associations.Added -= Add;
        associations.Removed -= Remove;
        associations.PortsChanged -= ChangePort;
    }

    /// <summary>Which SAs are outbound, and over which MTU, depends on addresses, routes and links. The database is frozen.</summary>
    internal void FollowHost()
    {
        List<SecurityAssociation> outbound = [];
        foreach (var association in associations.All.Where(IsSteered))
        {
            bool isOutbound = IsOutbound(association);
            Exempt(association, isOutbound);
            if (isOutbound)
            {
                outbound.Add(association);
            }
            else
            {
                paths.Remove(association);
            }
        }

        paths.Measure(outbound);
    }

    private void Add(SecurityAssociation association)
    {
        if (!IsSteered(association))
        {
            return;
        }

        try
        {
            if (!addresses.IsLocal(association.Source) && !addresses.IsLocal(association.Id.Destination))
            {
                // An address that was added a moment ago.
                host.Read();
            }

            bool outbound = IsOutbound(association);
            Exempt(association, outbound);
            if (outbound)
            {
                paths.Add(association);
            }
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(logger, failure.Message);
            host.Postpone(RouteChanges.All);
        }
    }

    private void Remove(SecurityAssociation association)
    {
        paths.Remove(association);
        ports.Remove(association);
    }

    private void ChangePort(SecurityAssociation association)
    {
        if (IsSteered(association))
        {
            Exempt(association, IsOutbound(association));
        }
    }

    private void Exempt(SecurityAssociation association, bool outbound)
    {
        if (association.Encapsulation is { } encapsulation)
        {
            ports.Set(association, outbound ? encapsulation.SourcePort : encapsulation.DestinationPort);
        }
    }

    /// <summary>Larval SAs carry nothing.</summary>
    private bool IsSteered(SecurityAssociation association) => association.Transform is not null && versions.Contains(association.Source.Version);

    private bool IsOutbound(SecurityAssociation association) =>
        association.SaDirection == OutboundDirection || (association.SaDirection == 0 && addresses.IsLocal(association.Source));
}
