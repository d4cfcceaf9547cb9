using Espalier.Ipsec.Spd;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Tests.Spd;

[Collection(nameof(AllocationCollection))]
public class SecurityPolicyDatabaseTests
{
    private readonly SecurityPolicyDatabase spd = new();

    [Fact]
    public void TryAdd_SameSelectorAndDirection_IsRefused()
    {
        Assert.True(spd.TryAdd(Build.Policy(priority: 1)));
        Assert.False(spd.TryAdd(Build.Policy(priority: 2)));
        Assert.True(spd.TryAdd(Build.Policy(priority: 2, direction: PolicyDirection.In)));
        Assert.Equal(1, spd.Count(PolicyDirection.Out));
        Assert.Equal(1, spd.Count(PolicyDirection.In));
        Assert.Equal(0, spd.Count(PolicyDirection.Forward));
    }

    [Fact]
    public void TryAdd_SelectorsThatDifferBeyondThePrefix_AreTwoPoliciesAndTheOlderDecides()
    {
        // The kernel compares selectors byte by byte.
        var one = Build.Policy("10.1.0.1/16");
        var two = Build.Policy("10.1.0.2/16");
        Assert.True(spd.TryAdd(one));
        Assert.True(spd.TryAdd(two));
        Assert.Same(one, Lookup(Build.Flow()));
        spd.Remove(one);
        Assert.Same(two, Lookup(Build.Flow()));
    }

    [Fact]
    public void Indexes_AreTheKernels_EightApartWithTheDirectionInTheLowBits()
    {
        var policies = new[]
        {
            Build.Policy(direction: PolicyDirection.In), Build.Policy(direction: PolicyDirection.Out),
            Build.Policy(direction: PolicyDirection.Forward), Build.Policy("10.9.0.0/16", direction: PolicyDirection.In),
        };
        foreach (var policy in policies)
        {
            Assert.True(spd.TryAdd(policy));
        }

        Assert.Equal([8u, 9u, 18u, 24u], policies.Select(p => p.Index));
        Assert.Same(policies[1], spd.FindByIndex(9, PolicyDirection.Out));
        Assert.Null(spd.FindByIndex(9, PolicyDirection.In));
    }

    [Fact]
    public void TryAdd_IndexGiven_IsKeptWhereFreeAndOfTheDirection()
    {
        var kept = Build.Policy();
        kept.Index = 801;
        var taken = Build.Policy("10.3.0.0/16");
        taken.Index = 801;
        var wrongDirection = Build.Policy("10.4.0.0/16");
        wrongDirection.Index = 800;
        Assert.True(spd.TryAdd(kept) && spd.TryAdd(taken) && spd.TryAdd(wrongDirection));
        Assert.Equal(801u, kept.Index);
        Assert.NotEqual(801u, taken.Index);
        Assert.Equal(1u, taken.Index & 7);
        Assert.Equal(1u, wrongDirection.Index & 7);
    }

    [Fact]
    public void TryAdd_SelectorWithoutVersionOrWithTwo_Throws()
    {
        Assert.Throws<ArgumentException>(() => spd.TryAdd(Build.Policy(selector: default(TrafficSelector))));
        Assert.Throws<ArgumentException>(() => spd.TryAdd(Build.Policy(selector: Build.Selector("10.0.0.0/8", "2001:db8::/32"))));
        var tooLong = new TrafficSelector(new AddressPrefix(Build.Ip("10.0.0.0"), 33), Build.Net("10.0.0.0/8"), 0, 0, 0, 0, 0);
        Assert.Throws<ArgumentException>(() => spd.TryAdd(Build.Policy(selector: tooLong)));
        Assert.Empty(spd.Policies);
    }

    [Fact]
    public void TryAdd_PolicyThatIsInAlready_Throws()
    {
        var policy = Build.Policy();
        spd.TryAdd(policy);
        Assert.Throws<InvalidOperationException>(() => spd.TryAdd(policy));
        Assert.Throws<InvalidOperationException>(() => new SecurityPolicyDatabase().AddOrReplace(policy));
    }

    [Fact]
    public void AddOrReplace_SamePriority_TakesIndexAndOrder()
    {
        var first = Build.Policy("10.1.0.0/16", priority: 5);
        var second = Build.Policy("10.0.0.0/8", priority: 5);
        spd.TryAdd(first);
        spd.TryAdd(second);
        var replacement = Build.Policy("10.1.0.0/16", priority: 5, action: PolicyAction.Block);
        spd.AddOrReplace(replacement);
        Assert.Equal(first.Index, replacement.Index);
        Assert.Same(replacement, Lookup(Build.Flow()));
        Assert.Equal(2, spd.Count(PolicyDirection.Out));
        Assert.False(spd.Remove(first));
    }

    [Fact]
    public void AddOrReplace_OtherPriority_IsNewestAmongItsEquals()
    {
        // xfrm_policy_insert_list puts the new one behind all of the same priority.
        var first = Build.Policy("10.1.0.0/16", priority: 4);
        var second = Build.Policy("10.0.0.0/8", priority: 5);
        spd.TryAdd(first);
        spd.TryAdd(second);
        var replacement = Build.Policy("10.1.0.0/16", priority: 5);
        spd.AddOrReplace(replacement);
        Assert.Same(second, Lookup(Build.Flow()));
        Assert.Equal(first.Index, replacement.Index);
    }

    [Fact]
    public void AddOrReplace_NothingThere_Adds()
    {
        var policy = Build.Policy();
        spd.AddOrReplace(policy);
        Assert.Same(policy, spd.Find(policy.Selector, PolicyDirection.Out));
    }

    [Fact]
    public void Events_TellOfEachChange()
    {
        var seen = new List<string>();
        spd.Added += p => seen.Add($"+{p.Priority}");
        spd.Removed += p => seen.Add($"-{p.Priority}");
        spd.TryAdd(Build.Policy(priority: 1));
        spd.TryAdd(Build.Policy(priority: 2));
        spd.AddOrReplace(Build.Policy(priority: 3));
        spd.Remove(spd.Policies.Single());
        Assert.Equal(["+1", "-1", "+3", "-3"], seen);
        Assert.Equal(0, spd.Count(PolicyDirection.Out));
    }

    [Fact]
    public void Lookup_SmallerPriorityWins_AcrossShapes()
    {
        var narrow = Build.Policy("10.1.0.0/24", priority: 200);
        var wide = Build.Policy("0.0.0.0/0", "0.0.0.0/0", priority: 100);
        spd.TryAdd(narrow);
        spd.TryAdd(wide);
        Assert.Same(wide, Lookup(Build.Flow()));
        spd.Remove(wide);
        Assert.Same(narrow, Lookup(Build.Flow()));
        Assert.Null(Lookup(Build.Flow(source: "10.1.1.1")));
    }

    [Fact]
    public void Lookup_FamiliesAndDirections_AreApart()
    {
        spd.TryAdd(Build.Policy("0.0.0.0/0", "0.0.0.0/0"));
        Assert.NotNull(Lookup(Build.Flow()));
        Assert.Null(Lookup(Build.Flow("2001:db8::1", "2001:db8::2")));
        Assert.Equal(PolicyVerdict.None, spd.Lookup(Build.Flow(), PolicyDirection.In, out _));
        Assert.Equal(PolicyVerdict.None, spd.Lookup(default, PolicyDirection.Out, out _));
    }

    [Fact]
    public void Lookup_PortMask_ComparesTheBitsOfTheMask()
    {
        // Ports 1024 to 1039: value 1024 under mask 0xfff0.
        spd.TryAdd(Build.Policy(selector: Build.Selector("10.0.0.0/8", "10.0.0.0/8", 17, destinationPort: 1024, destinationMask: 0xFFF0)));
        Assert.NotNull(Lookup(Build.Flow(destinationPort: 1024)));
        Assert.NotNull(Lookup(Build.Flow(destinationPort: 1039)));
        Assert.Null(Lookup(Build.Flow(destinationPort: 1040)));
        Assert.Null(Lookup(Build.Flow(protocol: 6, destinationPort: 1024)));
    }

    [Fact]
    public void Lookup_UnknownPorts_NeedThemOnlyWhereAPolicyWithPortsWouldWin()
    {
        // RFC 4301 §7: ports of a non-initial fragment are OPAQUE.
        var all = Build.Policy("0.0.0.0/0", "0.0.0.0/0", priority: 100);
        var ports = Build.Policy(selector: Build.Selector("10.0.0.0/8", "10.0.0.0/8", 17, destinationPort: 53), priority: 50);
        spd.TryAdd(all);
        spd.TryAdd(ports);
        var fragment = Build.Flow(portsKnown: false);
        Assert.Equal(PolicyVerdict.PortsNeeded, spd.Lookup(fragment, PolicyDirection.Out, out var found));
        Assert.Null(found);
        Assert.Same(all, Lookup(fragment with { Protocol = 6 }));

        spd.AddOrReplace(Build.Policy("0.0.0.0/0", "0.0.0.0/0", priority: 10));
        Assert.Equal(10u, Lookup(fragment)!.Priority);
        spd.Remove(ports);
        Assert.Equal(10u, Lookup(fragment)!.Priority);
    }

    [Fact]
    public void Lookup_UnknownPortsAndNoOtherPolicy_NeedsThem()
    {
        spd.TryAdd(Build.Policy(selector: Build.Selector("10.0.0.0/8", "10.0.0.0/8", 17, sourcePort: 53)));
        Assert.Equal(PolicyVerdict.PortsNeeded, spd.Lookup(Build.Flow(portsKnown: false), PolicyDirection.Out, out _));
        Assert.Equal(PolicyVerdict.None, spd.Lookup(Build.Flow(protocol: 6, portsKnown: false), PolicyDirection.Out, out _));
    }

    [Fact]
    public void Policies_ChangedWhileEnumerated_GoesOnWithWhatIsThere()
    {
        for (int i = 0; i < 6; i++)
        {
            spd.TryAdd(Build.Policy($"10.{i}.0.0/16", priority: (uint)i));
        }

        var seen = new List<uint>();
        foreach (var policy in spd.Policies)
        {
            seen.Add(policy.Priority);
            if (policy.Priority == 1)
            {
                foreach (uint gone in (uint[])[0, 1, 2, 4])
                {
                    spd.Remove(spd.Policies.Single(p => p.Priority == gone));
                }
            }
            else if (policy.Priority == 5)
            {
                spd.Remove(policy);
                spd.TryAdd(Build.Policy("10.6.0.0/16", priority: 6));
            }
        }

        Assert.Equal([0u, 1u, 3u, 5u, 6u], seen);
    }

    [Fact]
    public void Lookup_TwentyThousandPolicies_AllocatesNothing()
    {
        for (int i = 0; i < 20_000; i++)
        {
            Assert.True(spd.TryAdd(Build.Policy(selector: Build.Selector($"10.{i >> 8}.{i & 255}.0/24", "172.16.0.0/12", destinationPort: (ushort)(i % 3)))));
        }

        var known = Build.Flow("10.10.10.10", "172.16.1.1");
        var unknown = known with { PortsKnown = false };
        spd.Lookup(known, PolicyDirection.Out, out _);
        spd.Lookup(unknown, PolicyDirection.Out, out _);
        long allocated = Allocation.Least(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                spd.Lookup(known, PolicyDirection.Out, out _);
                spd.Lookup(unknown, PolicyDirection.Out, out _);
            }
        });

        Assert.Equal(0, allocated);
        foreach (var policy in spd.Policies)
        {
            spd.Remove(policy);
        }

        Assert.Equal(0, spd.Count(PolicyDirection.Out));
        Assert.Null(Lookup(known));
    }

    private SecurityPolicy? Lookup(FlowKey flow)
    {
        var verdict = spd.Lookup(flow, PolicyDirection.Out, out var policy);
        Assert.Equal(policy is null ? PolicyVerdict.None : PolicyVerdict.Found, verdict);
        return policy;
    }
}
