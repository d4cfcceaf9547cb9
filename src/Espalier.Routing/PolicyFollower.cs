using System.Diagnostics;
using Espalier.Io.Netlink;
using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Guard;
using Espalier.Routing.Routes;
using Espalier.Routing.Rules;
using Espalier.Wire.Addresses;
using Microsoft.Extensions.Logging;

namespace Espalier.Routing;

/// <summary>
/// SPD out → rules and routes, by which packets reach the TUN; SPD in, fwd and out → guard. A policy of SETDEFAULT, for what no policy covers, is one more.
/// Owned by the control thread.
/// </summary>
internal sealed class PolicyFollower(
    SecurityPolicyDatabase policies,
    IReadOnlyDictionary<IpVersion, CatchRules> rules,
    CatchRoutes routes,
    ClearGuard guard,
    HostFollower host,
    byte protocol,
    ILogger logger)
{
    private readonly Dictionary<SecurityPolicy, GuardPolicy> _guarded = [];
    private readonly bool[] _defaultBlocks = new bool[3];
    private readonly List<SecurityPolicy> _defaultPolicies = [];
    private readonly RemovalReport _removals = new(
        TimeProvider.System, removals => RoutingLog.PutBack(logger, removals.Rules, removals.Routes, removals.Times, protocol));

    /// <summary>How long until <see cref="Settle"/> has something to tell; null where it has not.</summary>
    internal TimeSpan? UntilDue => _removals.UntilDue;

    /// <summary>Takes over what the SPD holds, and follows it. The database is frozen.</summary>
    internal void Start()
    {
        policies.Added += Add;
        policies.Removed += Remove;
        foreach (var policy in policies.Policies)
        {
            Add(policy);
        }
    }

    /// <summary>Follows no longer.</summary>
    internal void Stop()
    {
        policies.Added -= Add;
        policies.Removed -= Remove;
    }

    /// <summary>Writes what waited: narrower rules and routes after policies went.</summary>
    internal void Settle()
    {
        foreach (var version in rules.Values)
        {
            Report(version.Settle());
        }

        routes.Settle();
        _removals.TellDue();
    }

    /// <summary>Brings the routes up to date with the host's addresses and routes, and puts back what others removed.</summary>
    internal void FollowHost(RouteChanges changes)
    {
        long began = Stopwatch.GetTimestamp();
        routes.ChooseSources();
        routes.Settle();
        int missingRoutes = routes.Reconcile([.. rules.Keys]);
        if ((changes & RouteChanges.Own) == 0)
        {
            return;
        }

        int missingRules = PutBackRules();
        if (missingRules + missingRoutes > 0)
        {
            _removals.Add(missingRules, missingRoutes);
        }

        host.Rest(RemovalReport.RestAfter(Stopwatch.GetElapsedTime(began), isCovered: guard.Status.Clear.IsActive));
    }

    /// <summary>Follows XFRM_MSG_SETDEFAULT: out policies that block all, and what the guard does with packets that no policy covers.</summary>
    internal void FollowDefaults()
    {
        foreach (var direction in (ReadOnlySpan<PolicyDirection>)[PolicyDirection.In, PolicyDirection.Out, PolicyDirection.Forward])
        {
            bool blocks = policies.DefaultBlocks[(int)direction];
            if (blocks == _defaultBlocks[(int)direction])
            {
                continue;
            }

            _defaultBlocks[(int)direction] = blocks;
            guard.SetDefault(direction, blocks);
            if (direction == PolicyDirection.Out)
            {
                FollowOutboundDefault(blocks);
            }
        }
    }

    private void Add(SecurityPolicy policy)
    {
        if (rules.ContainsKey(policy.Selector.Version))
        {
            var guarded = new GuardPolicy(policy);
            _guarded[policy] = guarded;
            guard.Add(guarded);
            if (policy.Direction == PolicyDirection.Out)
            {
                Catch(policy);
            }
        }
    }

    private void Remove(SecurityPolicy policy)
    {
        if (_guarded.RemoveAndShrink(policy, out var guarded))
        {
            guard.Remove(guarded);
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
            host.Read();
            routes.Add(policy);
            if (CatchEntry.Catches(policy))
            {
                Report(rules[policy.Selector.Version].Add(policy));
            }
        }
        catch (IOException failure)
        {
            RoutingLog.Failed(logger, failure.Message);
            host.Postpone(RouteChanges.All);
        }
    }

    private void Release(SecurityPolicy policy)
    {
        routes.Remove(policy);
        if (CatchEntry.Catches(policy))
        {
            rules[policy.Selector.Version].Remove(policy);
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
            _defaultPolicies.AddRange(rules.Keys.Select(ForWhatNoPolicyCovers));
            _defaultPolicies.ForEach(Catch);
        }
    }

    /// <summary>A policy for the packets that no policy covers, where SETDEFAULT says that they are blocked: what any block policy needs.</summary>
    private static SecurityPolicy ForWhatNoPolicyCovers(IpVersion version)
    {
        var all = version == IpVersion.IPv4 ? AddressPrefix.AllIPv4 : AddressPrefix.AllIPv6;
        return new SecurityPolicy
        {
            Selector = new TrafficSelector(all, all, 0, 0, 0, 0, 0),
            Direction = PolicyDirection.Out,
            Priority = uint.MaxValue,
            Action = PolicyAction.Block,
        };
    }

    private int PutBackRules()
    {
        int missing = 0;
        foreach (var version in rules.Values)
        {
            var (count, refused) = version.Reconcile();
            missing += count;
            Report(refused);
        }

        return missing;
    }

    private void Report(IReadOnlyList<NetlinkError> errors)
    {
        foreach (var error in errors)
        {
            RoutingLog.RuleRefused(logger, error.ToString());
        }
    }
}
