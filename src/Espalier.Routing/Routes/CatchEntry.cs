using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Routes;

/// <summary>What stands in the routing tables for one destination prefix.</summary>
/// <param name="IsCaught">Routes in table T: into the TUN, and unreachable behind it.</param>
/// <param name="Source">Source address of the routes; with one there is a route in table U too.</param>
/// <param name="ForUnspecified">A route in table U.</param>
internal readonly record struct CatchState(bool IsCaught, InternetAddress Source, bool ForUnspecified);

/// <summary>
/// One destination prefix and the out policies with it. Those that protect or block catch packets; those that let pass in clear only matter for the source
/// address. Owned by the control thread.
/// </summary>
internal sealed class CatchEntry(AddressPrefix prefix)
{
    private readonly HashSet<SecurityPolicy> _catching = [];
    private readonly HashSet<SecurityPolicy> _passing = [];
    private SecurityPolicy? _sourceFrom;

    internal AddressPrefix Prefix { get; } = prefix;

    /// <summary>What the kernel was last told.</summary>
    internal CatchState Applied { get; set; }

    /// <summary>The address that <see cref="_sourceFrom"/> gives.</summary>
    internal InternetAddress Source { get; private set; }

    internal bool IsEmpty => _catching.Count == 0 && _passing.Count == 0;

    internal bool IsCaught => _catching.Count > 0;

    internal bool HasPassing => _passing.Count > 0;

    internal void Add(SecurityPolicy policy, Func<SecurityPolicy, InternetAddress> chooseSource)
    {
        (Catches(policy) ? _catching : _passing).Add(policy);
        if (_sourceFrom is null || Precedes(policy, _sourceFrom))
        {
            Consider(policy, chooseSource);
        }
    }

    internal void Remove(SecurityPolicy policy)
    {
        _catching.RemoveAndShrink(policy);
        _passing.RemoveAndShrink(policy);
        if (_sourceFrom == policy)
        {
            _sourceFrom = null;
        }
    }

    /// <summary>True where the policy that gave the source is gone, or there never was one.</summary>
    internal bool NeedsSource => _sourceFrom is null;

    /// <summary>Chooses the source anew: from the policy that decides first among those inside whose source selector this host has an address.</summary>
    internal void ChooseSource(Func<SecurityPolicy, InternetAddress> chooseSource)
    {
        _sourceFrom = null;
        Source = default;
        foreach (var policies in (ReadOnlySpan<HashSet<SecurityPolicy>>)[_catching, _passing])
        {
            foreach (var policy in policies)
            {
                if (_sourceFrom is null || Precedes(policy, _sourceFrom))
                {
                    Consider(policy, chooseSource);
                }
            }
        }
    }

    /// <summary>What is to stand in the tables. A prefix without a policy that catches needs its source only where another prefix around it is caught.</summary>
    internal CatchState Desired(bool isCovered)
    {
        bool forUnspecified = Source.Version != IpVersion.None && (IsCaught || (HasPassing && isCovered));
        return new CatchState(IsCaught, IsCaught || forUnspecified ? Source : default, forUnspecified);
    }

    /// <summary>True for policies whose packets must reach the TUN: to be protected, or to be dropped and counted.</summary>
    internal static bool Catches(SecurityPolicy policy) => policy.Action == PolicyAction.Block || policy.Protects;

    private void Consider(SecurityPolicy policy, Func<SecurityPolicy, InternetAddress> chooseSource)
    {
        var source = chooseSource(policy);
        if (source.Version != IpVersion.None)
        {
            _sourceFrom = policy;
            Source = source;
        }
    }

    private static bool Precedes(SecurityPolicy left, SecurityPolicy right) =>
        left.Priority != right.Priority ? left.Priority < right.Priority : left.Age < right.Age;
}
