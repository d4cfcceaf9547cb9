using Espalier.DataPlane;
using Espalier.Ipsec.Algorithms.Engines;
using Espalier.Routing;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Server;

namespace Espalier.Running.Composition;

/// <summary>The options of the command line as each part takes them.</summary>
internal static class Configuration
{
    private const ushort IkePort = 500;

    internal static RoutingOptions Routing(RunOptions options) => new()
    {
        TunnelName = options.TunName,
        Table = options.Table,
        RulePriority = options.RulePriority,
        Mark = options.Mark,
        IkePorts = options.EncapsulationPort is 0 or 4500 ? [IkePort, 4500] : [IkePort, 4500, options.EncapsulationPort],
    };

    internal static DataPlaneOptions DataPlane(RunOptions options) => new()
    {
        Spread = options.Spread,
        EncapsulationPorts = options.EncapsulationPort == 0 ? [] : [options.EncapsulationPort],
        Versions = KernelFeatures.HasIPv6 ? [Wire.Addresses.IpVersion.IPv4, Wire.Addresses.IpVersion.IPv6] : [Wire.Addresses.IpVersion.IPv4],
    };

    internal static ControlServerOptions Control(RunOptions options, CryptoEngine engine) => new()
    {
        Path = options.ControlPath,
        AllowedUsers = options.AllowedUsers,
        AllowedGroups = options.AllowedGroups,
        Mark = options.Mark,
        Xfrm = new XfrmOptions
        {
            ReadAcquireExpires = KernelFeatures.AcquireExpires,
            ExpireUnknown = true,
            KnowsDirections = KernelFeatures.KnowsSaDirections,
            Engine = engine,
        },
    };
}
