using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Guard;

/// <summary>
/// What a policy means for a packet that is in clear where the policy is asked, as the kernel decides it (xfrm_policy_check, without a security path):
/// a block policy drops, one with a required template drops, one without a template or with an optional one lets pass.
/// Immutable; made on the control thread, used on the guard's.
/// </summary>
internal sealed class GuardPolicy
{
    internal GuardPolicy(SecurityPolicy policy)
    {
        Direction = policy.Direction;
        Version = policy.Selector.Version;
        Priority = policy.Priority;
        Age = policy.Age;
        Drops = policy.Action == PolicyAction.Block || policy.Templates.Any(static template => !template.Optional);
        Matches = GuardMatch.Of(policy.Selector);
    }

    internal PolicyDirection Direction { get; }

    internal IpVersion Version { get; }

    internal uint Priority { get; }

    internal long Age { get; }

    internal bool Drops { get; }

    internal IReadOnlyList<GuardMatch> Matches { get; }

    /// <summary>The order in which policies decide: smaller priority, then older.</summary>
    internal static int Compare(GuardPolicy left, GuardPolicy right) =>
        left.Priority != right.Priority ? left.Priority.CompareTo(right.Priority) : left.Age.CompareTo(right.Age);
}
