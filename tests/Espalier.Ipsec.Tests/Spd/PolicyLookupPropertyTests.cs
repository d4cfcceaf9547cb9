using CsCheck;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Tests.Spd;

/// <summary>The SPD against a list that is searched from its start to its end.</summary>
public class PolicyLookupPropertyTests
{
    private static readonly Gen<(InternetAddress, InternetAddress)> Addresses = Gen.Bool.SelectMany(v4 => Gen.Select(Address(v4), Address(v4)));

    private static readonly Gen<TrafficSelector> Selectors = Gen.Bool.SelectMany(v4 => Gen.Select(
        Prefix(v4), Prefix(v4), Gen.OneOf(Gen.Const((byte)0), Gen.Byte[6, 7]), Port(), Port(),
        (source, destination, protocol, sourcePort, destinationPort) => new TrafficSelector(
            source, destination, protocol, sourcePort.Value, sourcePort.Mask, destinationPort.Value, destinationPort.Mask)));

    private static readonly Gen<Step> Steps = Gen.Select(
        Gen.Int[0, 9], Selectors, Gen.UInt[1, 4], Gen.Enum<PolicyDirection>(), Gen.Int[0, 1000],
        (what, selector, priority, direction, pick) => new Step(what, selector, priority, direction, pick));

    private static readonly Gen<FlowKey> Flows = Gen.Select(
        Addresses, Gen.Byte[5, 7], Gen.UShort[0, 5], Gen.UShort[0, 5], Gen.Bool,
        (addresses, protocol, source, destination, known) => new FlowKey(addresses.Item1, addresses.Item2, protocol, source, destination, known));

    [Fact]
    public void Property_AnyRunOfChanges_AgreesWithALinearSearch() =>
        Gen.Select(Steps.Array[1, 60], Flows.Array[20, 60]).Sample(Compare, iter: 2_000);

    /// <summary>Through the cache, with changes between look-ups and flows that come again.</summary>
    [Fact]
    public void Property_FlowCacheBetweenChanges_AgreesWithTheSpd() =>
        Gen.Select(Steps.Array[1, 30], Flows.Array[1, 20]).Sample(CompareCache, iter: 1_000);

    private static void CompareCache(Step[] steps, FlowKey[] flows)
    {
        var spd = new SecurityPolicyDatabase();
        var model = new List<SecurityPolicy>();
        var cache = new FlowCache(spd);
        foreach (var step in steps)
        {
            Apply(spd, model, step);
            foreach (var flow in flows)
            {
                foreach (var direction in (ReadOnlySpan<PolicyDirection>)[PolicyDirection.In, PolicyDirection.Out, PolicyDirection.Forward, PolicyDirection.Forward])
                {
                    var expected = spd.Lookup(flow, direction, out var policy);
                    Assert.Equal(expected, cache.Lookup(flow, direction, out var found));
                    Assert.Same(policy, found);
                }
            }
        }
    }

    private static void Compare(Step[] steps, FlowKey[] flows)
    {
        var spd = new SecurityPolicyDatabase();
        var model = new List<SecurityPolicy>();
        foreach (var step in steps)
        {
            Apply(spd, model, step);
        }

        Assert.Equal(model.ToHashSet(), spd.Policies.ToHashSet());
        Assert.Equal(model.Count, model.Select(p => p.Index).Distinct().Count());
        foreach (var policy in model)
        {
            Assert.Same(policy, spd.Find(policy.Selector, policy.Direction));
            Assert.Same(policy, spd.FindByIndex(policy.Index, policy.Direction));
            Assert.Equal((uint)policy.Direction, policy.Index & 7);
        }

        foreach (var flow in flows)
        {
            foreach (var direction in Enum.GetValues<PolicyDirection>())
            {
                var expected = Search(model, flow, direction, out var policy);
                Assert.Equal(expected, spd.Lookup(flow, direction, out var found));
                Assert.Same(policy, found);
            }
        }
    }

    // The model keeps each list in the order of decision among equals: as added, a replacement of the same priority in the old one's place.
    private static void Apply(SecurityPolicyDatabase spd, List<SecurityPolicy> model, Step step)
    {
        var policy = new SecurityPolicy { Selector = step.Selector, Direction = step.Direction, Priority = step.Priority };
        int at = model.FindIndex(p => p.Selector == step.Selector && p.Direction == step.Direction);
        switch (step.What)
        {
            case < 5:
                Assert.Equal(at < 0, spd.TryAdd(policy));
                if (at < 0)
                {
                    model.Add(policy);
                }

                break;
            case < 8 when model.Count > 0 && step.What == 7:
                // A replacement for sure.
                var old = model[step.Pick % model.Count];
                Replace(spd, model, model.IndexOf(old), new SecurityPolicy { Selector = old.Selector, Direction = old.Direction, Priority = step.Priority });
                break;
            case < 8:
                Replace(spd, model, at, policy);
                break;
            default:
                if (model.Count > 0)
                {
                    var gone = model[step.Pick % model.Count];
                    model.Remove(gone);
                    Assert.True(spd.Remove(gone));
                    Assert.False(spd.Remove(gone));
                }

                break;
        }
    }

    private static void Replace(SecurityPolicyDatabase spd, List<SecurityPolicy> model, int at, SecurityPolicy policy)
    {
        spd.AddOrReplace(policy);
        if (at >= 0 && model[at].Priority == policy.Priority)
        {
            Assert.Equal(model[at].Index, policy.Index);
            model[at] = policy;
            return;
        }

        if (at >= 0)
        {
            model.RemoveAt(at);
        }

        model.Add(policy);
    }

    private static PolicyVerdict Search(List<SecurityPolicy> model, in FlowKey flow, PolicyDirection direction, out SecurityPolicy? policy)
    {
        policy = null;
        foreach (var candidate in model)
        {
            bool decides = candidate.Direction == direction
                && (candidate.Selector.Matches(flow) || (!flow.PortsKnown && candidate.Selector.MatchesIgnoringPorts(flow)));
            if (decides && (policy is null || candidate.Priority < policy.Priority))
            {
                policy = candidate;
            }
        }

        if (policy is null)
        {
            return PolicyVerdict.None;
        }

        if (policy.Selector.Matches(flow))
        {
            return PolicyVerdict.Found;
        }

        policy = null;
        return PolicyVerdict.PortsNeeded;
    }

    // Few bits differ, so that prefixes nest and meet.
    private static Gen<InternetAddress> Address(bool v4) => v4
        ? Gen.Select(Gen.UInt[0, 3], Gen.UInt[0, 3], (high, low) => new InternetAddress(IpVersion.IPv4, ((UInt128)high << 30) | low))
        : Gen.Select(Gen.UInt[0, 3], Gen.UInt[0, 3], (high, low) => new InternetAddress(IpVersion.IPv6, ((UInt128)high << 126) | low));

    private static Gen<AddressPrefix> Prefix(bool v4)
    {
        int bits = v4 ? 32 : 128;
        return Gen.Select(Address(v4), Gen.OneOf(Gen.Int[0, 2], Gen.Int[bits - 2, bits]), (address, length) => new AddressPrefix(address, length));
    }

    private static Gen<(ushort Value, ushort Mask)> Port() =>
        Gen.OneOf(Gen.Const(((ushort)0, (ushort)0)), Gen.Select(Gen.UShort[0, 5], Gen.OneOf(Gen.Const((ushort)0xFFFF), Gen.Const((ushort)0xFFFE)), (v, m) => (v, m)));

    private sealed record Step(int What, TrafficSelector Selector, uint Priority, PolicyDirection Direction, int Pick);
}
