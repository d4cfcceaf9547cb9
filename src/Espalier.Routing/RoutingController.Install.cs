using Espalier.Io;
using Espalier.Io.Netlink;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Guard;
using Espalier.Routing.Routes;
using Espalier.Routing.Rules;
using Espalier.Routing.Settings;
using Espalier.Wire.Addresses;

namespace Espalier.Routing;

public sealed partial class RoutingController
{
    // RT_TABLE_DEFAULT, RT_TABLE_MAIN, RT_TABLE_LOCAL.
    private const uint FirstTableOfTheKernel = 253;
    private const uint LastTableOfTheKernel = 255;

    private static readonly TimeSpan GuardTimeout = TimeSpan.FromSeconds(30);

    private void Install()
    {
        bool withIPv6 = KernelSetting.HasIPv6;
        _versions = withIPv6 ? [IpVersion.IPv4, IpVersion.IPv6] : [IpVersion.IPv4];
        if (_options.Table is >= FirstTableOfTheKernel and <= LastTableOfTheKernel)
        {
            throw new DeviceException($"Routing table {_options.Table} is the kernel's own; choose another.");
        }

        _tunnel = _netlink.GetLink(_options.TunnelName);
        RefuseSharedTable();
        _sourceValidation = new SourceValidation();
        _ownsTables = true;
        RemoveLeftovers(_sourceValidation);
        _mtu = _tunnelMtu.Current(withIPv6);
        foreach (string problem in TunnelInterface.SetUp(_netlink, _tunnel, _mtu, withIPv6))
        {
            RoutingLog.SettingRefused(_logger, problem);
        }

        LocalAddresses.Refresh(_netlink);
        _sources.Refresh();
        _routes = new CatchRoutes(
            _netlink, _sources, _options, _tunnel.Index, (destination, reason) => RoutingLog.RouteRefused(_logger, destination, reason));
        _routes.Install();
        foreach (var version in _versions)
        {
            _rules[version] = new CatchRules(_netlink, version, _options);
            _rules[version].Install(_sourceValidation.WasOff);
        }

        _sourceValidation.SwitchOn();

        _guard = new ClearGuard(_options, OnGuardStatus);
        _guard.SetPorts([.. _options.IkePorts]);
        TakeOverDatabase();
        _guard.Flush(GuardTimeout);
        OnGuardStatus(_guard.Status);
        RoutingLog.Started(_logger, _tunnel.Name, _options.Table, _options.RulePriority, _options.Mark);
    }

    /// <summary>A crash takes the TUN and its routes away; a route of our protocol to another device in our table belongs to an Espalier that runs.</summary>
    private void RefuseSharedTable()
    {
        foreach (var version in _versions)
        {
            foreach (var route in _netlink.GetRoutes(version, _options.Table, _options.Protocol))
            {
                if (route.Type == RouteType.Unicast && route.OutputInterface != _tunnel.Index)
                {
                    throw new DeviceException(
                        $"Routing table {_options.Table} is used by another Espalier ({_netlink.GetLink(route.OutputInterface).Name}); choose another table and mark.");
                }
            }
        }
    }

    /// <summary>Removes rules and routes of an earlier run, after what they record was taken over.</summary>
    private void RemoveLeftovers(SourceValidation validation)
    {
        validation.TakeOver(RulesOfEspalier());
        int removed = _versions.Sum(version => CatchRules.Clear(_netlink, _options, version));
        CatchRoutes.Clear(_netlink, _options, _versions);
        if (removed > 0)
        {
            RoutingLog.TookOver(_logger, removed);
        }
    }

    /// <summary>The rules of this and all other instances in the network namespace, those that crashes left included.</summary>
    private IEnumerable<RuleEntry> RulesOfEspalier() => _versions.SelectMany(_netlink.GetRules).Where(rule => CatchRules.IsOfEspalier(rule, _options));

    private void TakeOverDatabase()
    {
        using var frozen = _database.Freeze();
        _started = true;
        _database.Spd.Added += OnPolicyAdded;
        _database.Spd.Removed += OnPolicyRemoved;
        _database.Sad.Added += OnAssociationAdded;
        _database.Sad.Removed += OnAssociationRemoved;
        foreach (var policy in _database.Spd.Policies)
        {
            OnPolicyAdded(policy);
        }

        foreach (var association in _database.Sad.All)
        {
            OnAssociationAdded(association);
        }

        FollowDefaults();
        ApplyTunnelMtu();
    }

    /// <summary>Says what the guard does, once for each change. The guard's thread, and the control thread once it waited for that.</summary>
    private void OnGuardStatus(GuardStatus status)
    {
        if (Interlocked.Exchange(ref _reportedGuard, status) == status)
        {
            return;
        }

        if (status.Clear.IsActive)
        {
            RoutingLog.ClearGuardOn(_logger);
        }
        else
        {
            RoutingLog.ClearGuardOff(_logger, status.Clear.Reason ?? "");
        }

        foreach (string reason in new[] { status.Arrival.Reason, status.Neighbors.Reason }.OfType<string>().Distinct())
        {
            RoutingLog.ArrivalMarkOff(_logger, reason);
        }

        if (_sourceValidation?.Problem is { } problem)
        {
            RoutingLog.ValidationOff(_logger, problem);
        }
    }

    /// <summary>A policy for the packets that no policy covers, where SETDEFAULT says that they are blocked: what any block policy needs.</summary>
    private static IEnumerable<SecurityPolicy> DefaultPolicies(IReadOnlyList<IpVersion> versions)
    {
        foreach (var version in versions)
        {
            var all = version == IpVersion.IPv4 ? AddressPrefix.AllIPv4 : AddressPrefix.AllIPv6;
            yield return new SecurityPolicy
            {
                Selector = new TrafficSelector(all, all, 0, 0, 0, 0, 0),
                Direction = PolicyDirection.Out,
                Priority = uint.MaxValue,
                Action = PolicyAction.Block,
            };
        }
    }
}
