using System.Text;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Guard;

/// <summary>
/// The policies of one direction and one IP version, as a chain of nftables. Policies in the order in which they decide form runs of the same action;
/// within a run the order does not matter, so each run is one rule for each shape of selector, and the policies are elements of its set.
/// As long as the policies all act alike, which is the usual case, there is one run, and a policy that comes or goes is an element that comes or goes.
/// </summary>
internal sealed class GuardGroup(PolicyDirection direction, IpVersion version)
{
    private readonly SortedSet<GuardPolicy> _policies = new(Comparer<GuardPolicy>.Create(GuardPolicy.Compare));
    private readonly List<string> _appliedRules = [];
    private List<(GuardPolicy Policy, bool Added)> _changes = [];
    private Dictionary<string, GuardSet> _sets = [];
    private int _dropping;
    private bool _defaultDrops;
    private bool _rebuild = true;

    /// <summary>The name of the chain.</summary>
    internal string Chain => ChainOf(direction, version);

    internal static string ChainOf(PolicyDirection direction, IpVersion version) => direction switch
    {
        PolicyDirection.In => version == IpVersion.IPv4 ? "in_4" : "in_6",
        PolicyDirection.Out => version == IpVersion.IPv4 ? "out_4" : "out_6",
        _ => version == IpVersion.IPv4 ? "fwd_4" : "fwd_6",
    };

    /// <summary>The counter of what the chain drops.</summary>
    internal static string CounterOf(PolicyDirection direction) => direction switch
    {
        PolicyDirection.In => "in_clear",
        PolicyDirection.Out => "out_clear",
        _ => "fwd_clear",
    };

    internal void Add(GuardPolicy policy)
    {
        _policies.Add(policy);
        _dropping += policy.Drops ? 1 : 0;
        _changes.Add((policy, true));
    }

    internal void Remove(GuardPolicy policy)
    {
        if (_policies.Remove(policy))
        {
            _dropping -= policy.Drops ? 1 : 0;
            _changes.Add((policy, false));
        }
    }

    /// <summary>What happens to packets that no policy covers (XFRM_MSG_SETDEFAULT).</summary>
    internal void SetDefault(bool drops)
    {
        _rebuild |= _defaultDrops != drops;
        _defaultDrops = drops;
    }

    /// <summary>Everything is to be written anew: the table is gone.</summary>
    internal void Reset()
    {
        _sets = [];
        _appliedRules.Clear();
        _changes = [];
        _rebuild = true;
    }

    /// <summary>Writes the commands that bring the kernel from what was last written to the policies as they are.</summary>
    internal void Write(StringBuilder script, string table)
    {
        bool alike = _dropping == _policies.Count;
        if (!_rebuild && alike && TryWriteElements(script, table))
        {
            _changes = [];
            return;
        }

        if (_rebuild || _changes.Count > 0)
        {
            Rebuild(script, table);
        }

        _changes = [];
        _rebuild = false;
    }

    /// <summary>All policies drop, before and after: only elements of the first run's sets change. False where a rule would come or go.</summary>
    private bool TryWriteElements(StringBuilder script, string table)
    {
        foreach (var (policy, _) in _changes)
        {
            if (!policy.Drops || policy.Matches.Any(match => match.Pattern.MatchesAll || !_sets.ContainsKey(SetName(0, match.Pattern))))
            {
                return false;
            }
        }

        foreach (var (policy, added) in _changes)
        {
            foreach (var match in policy.Matches)
            {
                _sets[SetName(0, match.Pattern)].Change(match.Element, added ? 1 : -1);
            }
        }

        foreach (var set in _sets.Values)
        {
            set.Write(script, table);
        }

        return true;
    }

    private void Rebuild(StringBuilder script, string table)
    {
        Dictionary<string, GuardSet> sets = [];
        var rules = Runs(sets);
        foreach (var (name, set) in sets)
        {
            if (!_sets.TryGetValue(name, out var before))
            {
                script.Append("add set ").Append(table).Append(' ').Append(name).Append(" { type ").Append(set.Type).AppendLine(" ; }");
            }

            set.TakeOver(before);
            set.Write(script, table);
        }

        if (!rules.SequenceEqual(_appliedRules))
        {
            script.Append("flush chain ").Append(table).Append(' ').AppendLine(Chain);
            foreach (string rule in rules)
            {
                script.Append("add rule ").Append(table).Append(' ').Append(Chain).Append(' ').AppendLine(rule);
            }

            _appliedRules.Clear();
            _appliedRules.AddRange(rules);
        }

        foreach (string name in _sets.Keys)
        {
            if (!sets.ContainsKey(name))
            {
                script.Append("delete set ").Append(table).Append(' ').AppendLine(name);
            }
        }

        _sets = sets;
    }

    private List<string> Runs(Dictionary<string, GuardSet> sets)
    {
        List<string> rules = [];
        int run = -1;
        bool? drops = null;
        foreach (var policy in _policies)
        {
            if (drops != policy.Drops)
            {
                drops = policy.Drops;
                run++;
            }

            foreach (var match in policy.Matches)
            {
                string name = SetName(run, match.Pattern);
                if (match.Pattern.MatchesAll)
                {
                    AddOnce(rules, Verdict(policy.Drops));
                    continue;
                }

                if (!sets.TryGetValue(name, out var set))
                {
                    sets[name] = set = new GuardSet(name, match.Pattern.SetType);
                    rules.Add($"{match.Pattern.Expression} @{name} {Verdict(policy.Drops)}");
                }

                set.Change(match.Element, 1);
            }
        }

        if (_defaultDrops)
        {
            AddOnce(rules, Verdict(true));
        }

        return rules;
    }

    private static void AddOnce(List<string> rules, string rule)
    {
        if (rules.Count == 0 || rules[^1] != rule)
        {
            rules.Add(rule);
        }
    }

    private string Verdict(bool drops) => drops ? $"counter name {CounterOf(direction)} drop" : "return";

    private string SetName(int run, GuardPattern pattern) => $"{Chain}_{run}_{pattern.Name}";
}
