using Espalier.Wire.Addresses;
using Microsoft.Extensions.Logging;

namespace Espalier.Routing;

/// <summary>What the routing says; event ids 4000 to 4099.</summary>
internal static partial class RoutingLog
{
    [LoggerMessage(4000, LogLevel.Information, "Policies are routed through {Tunnel}: table {Table}, rules from {Priority}, mark 0x{Mark:x}")]
    internal static partial void Started(ILogger logger, string tunnel, uint table, uint priority, uint mark);

    [LoggerMessage(4001, LogLevel.Warning, "Packets in clear that a policy protects are not dropped: {Reason}")]
    internal static partial void ClearGuardOff(ILogger logger, string reason);

    [LoggerMessage(4002, LogLevel.Warning, "With strict rp_filter, packets from addresses behind a tunnel are dropped: {Reason}")]
    internal static partial void ArrivalMarkOff(ILogger logger, string reason);

    [LoggerMessage(4003, LogLevel.Information, "Packets in clear that a policy protects are dropped and counted (nftables)")]
    internal static partial void ClearGuardOn(ILogger logger);

    [LoggerMessage(4004, LogLevel.Warning, "Kernel settings could not be changed: {Problem}")]
    internal static partial void SettingRefused(ILogger logger, string problem);

    [LoggerMessage(4005, LogLevel.Warning, "The kernel refused a route to {Destination}: {Reason}")]
    internal static partial void RouteRefused(ILogger logger, AddressPrefix destination, string reason);

    [LoggerMessage(4006, LogLevel.Warning, "The kernel refused a routing rule: {Reason}")]
    internal static partial void RuleRefused(ILogger logger, string reason);

    [LoggerMessage(4007, LogLevel.Information, "MTU of {Tunnel}: {Mtu}")]
    internal static partial void TunnelMtu(ILogger logger, string tunnel, int mtu);

    [LoggerMessage(4008, LogLevel.Information, "Path MTU to {Destination}: {Mtu}")]
    internal static partial void PathMtu(ILogger logger, InternetAddress destination, int mtu);

    [LoggerMessage(4009, LogLevel.Information, "Removed {Rules} rules that an earlier run left")]
    internal static partial void TookOver(ILogger logger, int rules);

    [LoggerMessage(4010, LogLevel.Warning, "Routing could not be brought up to date: {Reason}")]
    internal static partial void Failed(ILogger logger, string reason);

    [LoggerMessage(4011, LogLevel.Warning, "With strict rp_filter, IKE messages on port 4500 do not reach their daemon, and packets from addresses behind a tunnel are dropped: {Reason}")]
    internal static partial void ValidationOff(ILogger logger, string reason);

    [LoggerMessage(4012, LogLevel.Warning, "Another program removed routing rules ({Rules}) or routes ({Routes}) of Espalier, {Times} times since this was last said; they are back. What manages the network should leave protocol {Protocol} alone (systemd-networkd: ManageForeignRoutingPolicyRules=no, ManageForeignRoutes=no)")]
    internal static partial void PutBack(ILogger logger, int rules, int routes, int times, byte protocol);

    [LoggerMessage(4013, LogLevel.Warning, "Another program removed or changed nftables of Espalier {Times} times since this was last said; they are as they must be. What loads a firewall should leave the tables {Table} alone (no 'nft flush ruleset')")]
    internal static partial void GuardPutBack(ILogger logger, string table, int times);
}
