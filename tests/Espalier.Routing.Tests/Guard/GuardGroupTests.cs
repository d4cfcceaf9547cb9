using System.Text;
using CsCheck;
using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Guard;
using Espalier.Wire.Addresses;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests.Guard;

/// <summary>
/// The commands for nft against a naive model: policies asked one after another in the order in which they decide. What the commands make of the
/// kernel's chain and sets is kept by <see cref="Simulation"/>, which refuses what nft would refuse.
/// </summary>
public sealed class GuardGroupTests
{
    private static readonly int[] Lengths = [0, 30, 31, 32];
    private static readonly byte[] Protocols = [0, 6, 17, 1];

    private static readonly Gen<SecurityPolicy> AnyPolicy =
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, 3].Select(i => Lengths[i]), Gen.Int[0, 3], Gen.Int[0, 3].Select(i => Lengths[i]), Gen.Int[0, 3].Select(i => Protocols[i]), Gen.Int[0, 3], Gen.UInt[1, 4], Gen.Int[0, 2])
            .Select((source, sourceLength, destination, destinationLength, protocol, port, priority, kind) =>
            {
                bool hasPort = port > 0 && protocol != 0;
                var selector = Selector($"10.0.0.{source}/{sourceLength}", $"10.1.0.{destination}/{destinationLength}", protocol, 0, 0, (ushort)(hasPort ? port : 0), (ushort)(hasPort ? port == 3 ? 0xfe : 0xff : 0));
                return Policy(PolicyDirection.In, selector, priority, kind == 0 ? PolicyAction.Block : PolicyAction.Allow, passes: kind == 1);
            });

    [Fact]
    public void Commands_AnySequenceOfChanges_DecideAsTheListOfPolicies() =>
        Gen.Select(AnyPolicy, Gen.Int[0, 3], Gen.Bool).List[1, 25].Sample(steps =>
        {
            var database = new IpsecDatabase();
            var group = new GuardGroup(PolicyDirection.In, IpVersion.IPv4);
            var simulation = new Simulation();
            Dictionary<SecurityPolicy, GuardPolicy> guarded = [];
            using var frozen = database.Freeze();
            database.Spd.Added += policy => group.Add(guarded[policy] = new GuardPolicy(policy));
            database.Spd.Removed += policy => group.Remove(guarded[policy]);
            foreach (var (policy, action, writes) in steps)
            {
                if (action == 0 && guarded.Count > 0 && database.Spd.Policies.FirstOrDefault() is { } first)
                {
                    database.Spd.Remove(first);
                }
                else
                {
                    database.Spd.AddOrReplace(policy);
                }

                if (writes)
                {
                    Check(group, simulation, database);
                }
            }

            Check(group, simulation, database);
        }, iter: 300);

    [Fact]
    public void Commands_OnePolicyMoreOfAKnownShape_IsOneElement()
    {
        var database = new IpsecDatabase();
        var group = new GuardGroup(PolicyDirection.In, IpVersion.IPv4);
        using var frozen = database.Freeze();
        database.Spd.Added += policy => group.Add(new GuardPolicy(policy));
        database.Spd.AddOrReplace(In("10.0.0.0/24", "10.1.0.1/32"));
        Write(group);

        database.Spd.AddOrReplace(In("10.0.1.0/24", "10.1.0.1/32"));

        Assert.Equal("add element inet t in_4_0_24_32_0_0_0 { 10.0.1.0 . 10.1.0.1 }", Write(group).Trim());
        Assert.Equal("", Write(group));
    }

    private static string Write(GuardGroup group)
    {
        var script = new StringBuilder();
        group.Write(script, "inet t");
        return script.ToString();
    }

    private static void Check(GuardGroup group, Simulation simulation, IpsecDatabase database)
    {
        simulation.Run(Write(group));
        for (uint i = 0; i < 64; i++)
        {
            byte protocol = (i >> 4) switch { 0 => 6, 1 => 17, 2 => 1, _ => 47 };
            var flow = new FlowKey(Ip($"10.0.0.{i & 3}"), Ip($"10.1.0.{(i >> 2) & 3}"), protocol, 0, protocol == 47 ? (ushort)0 : (ushort)((i & 3) + 1));
            var decides = database.Spd.Lookup(flow, PolicyDirection.In, out var policy) == PolicyVerdict.Found ? policy : null;
            bool drops = decides is not null && (decides.Action == PolicyAction.Block || decides.Protects);
            Assert.Equal(drops, simulation.Drops(flow));
        }
    }

    /// <summary>One chain and its sets, as nft would keep them.</summary>
    private sealed class Simulation
    {
        private readonly Dictionary<string, HashSet<string>> _sets = [];
        private readonly List<string> _rules = [];

        public void Run(string script)
        {
            foreach (string line in script.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                string[] words = line.Split(' ', 6);
                string name = words[4];
                switch ($"{words[0]} {words[1]}")
                {
                    case "add set":
                        Assert.True(_sets.TryAdd(name, []), line);
                        break;
                    case "delete set":
                        Assert.DoesNotContain(_rules, rule => rule.Contains($"@{name} ", StringComparison.Ordinal));
                        Assert.True(_sets.Remove(name), line);
                        break;
                    case "flush chain":
                        _rules.Clear();
                        break;
                    case "add rule":
                        _rules.Add(words[5]);
                        break;
                    case "add element":
                        Assert.All(Elements(words[5]), element => Assert.True(_sets[name].Add(element), line));
                        break;
                    case "delete element":
                        Assert.All(Elements(words[5]), element => Assert.True(_sets[name].Remove(element), line));
                        break;
                    default:
                        Assert.Fail(line);
                        break;
                }
            }
        }

        public bool Drops(FlowKey flow)
        {
            foreach (string rule in _rules)
            {
                int at = rule.IndexOf('@', StringComparison.Ordinal);
                if (at < 0 || Matches(rule[(at + 1)..].Split(' ')[0], flow))
                {
                    return rule.EndsWith("drop", StringComparison.Ordinal);
                }
            }

            return false;
        }

        private static string[] Elements(string braces) => braces.Trim('{', '}', ' ').Split(", ");

        /// <summary>Takes the shape from the set's name: chain, version, run, lengths, layer, masks.</summary>
        private bool Matches(string name, FlowKey flow)
        {
            string[] parts = name.Split('_');
            int Number(int index) => int.Parse(parts[index], System.Globalization.CultureInfo.InvariantCulture);
            ushort Mask(int index) => ushort.Parse(parts[index], System.Globalization.NumberStyles.HexNumber, System.Globalization.CultureInfo.InvariantCulture);
            var pattern = new GuardPattern(IpVersion.IPv4, Number(3), Number(4), (GuardUpperLayer)Number(5), Mask(6), Mask(7));
            if (pattern.Upper == GuardUpperLayer.Icmp && flow.Protocol != 1)
            {
                return false;
            }

            if (pattern.Upper == GuardUpperLayer.Ports && flow.Protocol is 1 or 47)
            {
                return false;
            }

            var whole = new TrafficSelector(
                new AddressPrefix(flow.Source, pattern.SourceLength), new AddressPrefix(flow.Destination, pattern.DestinationLength),
                flow.Protocol, flow.SourcePort, pattern.SourceMask, flow.DestinationPort, pattern.DestinationMask);
            return _sets[name].Contains(pattern.Element(whole, flow.Protocol));
        }
    }
}
