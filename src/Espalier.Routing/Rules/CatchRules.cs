using Espalier.Io.Netlink;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Rules;

/// <summary>Keeps the routing rules of one IP version in step with the sources of the policies that catch. Owned by the control thread.</summary>
internal sealed class CatchRules
{
    private readonly RouteNetlink _netlink;
    private readonly RulePlan _plan;
    private readonly SourceCover _cover;
    private readonly IpVersion _version;
    private IReadOnlyList<RuleEntry> _permanent = [];
    private IReadOnlyList<RuleEntry> _forSources = [];

    internal CatchRules(RouteNetlink netlink, IpVersion version, RoutingOptions options)
    {
        _netlink = netlink;
        _version = version;
        _plan = new RulePlan(version, options);
        _cover = new SourceCover(version);
    }

    /// <summary>Installs the rules that always stand.</summary>
    /// <exception cref="NetlinkException">The kernel refused one.</exception>
    internal void Install(bool validationWasOff)
    {
        _permanent = _plan.Permanent(validationWasOff);
        foreach (var error in _netlink.AddRules(_permanent))
        {
            throw new NetlinkException($"add the routing rule with priority {_permanent[error.Index].Priority}", error.ErrorNumber, error.KernelText);
        }
    }

    /// <summary>Takes over the source of a policy, at once. Returns what the kernel refused.</summary>
    internal IReadOnlyList<NetlinkError> Add(SecurityPolicy policy) => _cover.Add(SourceOf(policy)) ? Apply() : [];

    /// <summary>Takes the source of a policy away; the rules follow with <see cref="Settle"/>.</summary>
    internal void Remove(SecurityPolicy policy) => _cover.Remove(SourceOf(policy));

    /// <summary>Narrows the rules after policies went. Returns what the kernel refused.</summary>
    internal IReadOnlyList<NetlinkError> Settle() => _cover.IsStale && _cover.Recompute() ? Apply() : [];

    /// <summary>Puts back what another removed. Returns how many rules were missing, and what the kernel refused.</summary>
    internal (int Missing, IReadOnlyList<NetlinkError> Refused) Reconcile()
    {
        var missing = _permanent.Concat(_forSources).Except(_netlink.GetRules(_version)).ToList();
        return (missing.Count, _netlink.AddRules(missing));
    }

    /// <summary>Removes the rules of Espalier's tables, also those that a crash left. Returns how many there were.</summary>
    internal static int Clear(RouteNetlink netlink, RoutingOptions options, IpVersion version)
    {
        var rules = netlink.GetRules(version).Where(rule => IsOurs(rule, options)).ToList();
        foreach (var error in netlink.DeleteRules(rules))
        {
            throw new NetlinkException($"remove the routing rule with priority {rules[error.Index].Priority}", error.ErrorNumber, error.KernelText);
        }

        return rules.Count;
    }

    /// <summary>True for rules made by an Espalier, this one or another.</summary>
    internal static bool IsOfEspalier(RuleEntry rule, RoutingOptions options) => rule.Protocol == options.Protocol;

    // An ICMP error about what the policy covers may come from any router.
    private static AddressPrefix SourceOf(SecurityPolicy policy) =>
        !policy.Protects || !policy.AdmitsIcmpErrors ? policy.Selector.Source
        : policy.Selector.Version == IpVersion.IPv4 ? AddressPrefix.AllIPv4 : AddressPrefix.AllIPv6;

    private static bool IsOurs(RuleEntry rule, RoutingOptions options) =>
        IsOfEspalier(rule, options) && options.Tables.Contains(rule.Table);

    /// <summary>New rules first, so that nothing is uncaught in between.</summary>
    private List<NetlinkError> Apply()
    {
        var wanted = _plan.ForSources(_cover.Prefixes);
        List<NetlinkError> errors = [.. _netlink.AddRules([.. wanted.Except(_forSources)])];
        errors.AddRange(_netlink.DeleteRules([.. _forSources.Except(wanted)]));
        _forSources = wanted;
        return errors;
    }
}
