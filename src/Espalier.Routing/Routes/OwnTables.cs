using Espalier.Io;
using Espalier.Io.Netlink;
using Espalier.Routing.Rules;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Routes;

/// <summary>Whose Espalier's routing tables are, and what an earlier run left in them. Owned by the control thread.</summary>
internal sealed class OwnTables(RouteNetlink netlink, RoutingOptions options, IReadOnlyList<IpVersion> versions)
{
    // RT_TABLE_DEFAULT, RT_TABLE_MAIN, RT_TABLE_LOCAL.
    private const uint FirstTableOfTheKernel = 253;
    private const uint LastTableOfTheKernel = 255;

    /// <summary>The rules of this and all other instances in the network namespace, those that crashes left included.</summary>
    internal IEnumerable<RuleEntry> RulesOfEspalier => versions.SelectMany(netlink.GetRules).Where(rule => CatchRules.IsOfEspalier(rule, options));

    /// <summary>A crash takes the TUN and its routes away; a route of our protocol to another device in our table belongs to an Espalier that runs.</summary>
    /// <exception cref="DeviceException">The table is the kernel's or another Espalier's; the message says what to do.</exception>
    internal void RefuseForeign(LinkInfo tunnel)
    {
        foreach (var version in versions)
        {
            foreach (var route in netlink.GetRoutes(version, options.Table, options.Protocol))
            {
                if (route.Type == RouteType.Unicast && route.OutputInterface != tunnel.Index)
                {
                    throw new DeviceException(
                        $"Routing table {options.Table} is used by another Espalier ({netlink.GetLink(route.OutputInterface).Name}); choose another table and mark.");
                }
            }
        }
    }

    /// <summary>A table that the kernel itself uses cannot be ours.</summary>
    /// <exception cref="DeviceException">It is one.</exception>
    internal void RefuseKernels()
    {
        if (options.Table is >= FirstTableOfTheKernel and <= LastTableOfTheKernel)
        {
            throw new DeviceException($"Routing table {options.Table} is the kernel's own; choose another.");
        }
    }

    /// <summary>Removes the rules, and returns how many there were.</summary>
    internal int ClearRules(IpVersion version) => CatchRules.Clear(netlink, options, version);

    /// <summary>Removes the routes.</summary>
    internal void ClearRoutes() => CatchRoutes.Clear(netlink, options, versions);
}
