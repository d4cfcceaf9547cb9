using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Tests.Sad;

[Collection(nameof(AllocationCollection))]
public class SecurityAssociationDatabaseTests
{
    private readonly SecurityAssociationDatabase sad = new();

    [Fact]
    public void Find_SpiAndDestination_BothCount()
    {
        var one = Add(Build.Sa(0x100));
        var other = Add(Build.Sa(0x100, destination: Build.Ip("192.0.2.9")));
        var v6 = Add(Build.Sa(0x100, Build.Ip("2001:db8::1"), Build.Ip("2001:db8::2")));
        Assert.Same(one, sad.Find(new SaIdentity(new Spi(0x100), Build.Peer)));
        Assert.Same(other, sad.Find(other.Id));
        Assert.Same(v6, sad.Find(v6.Id));
        Assert.Null(sad.Find(new SaIdentity(new Spi(0x101), Build.Peer)));
        Assert.Equal(3, sad.Count);
    }

    [Fact]
    public void TryAdd_IdentityTaken_ChangesNothing()
    {
        var first = Add(Build.Sa(0x100));
        long generation = sad.Generation;
        var second = Build.Sa(0x100, source: Build.Ip("192.0.2.77"));
        Assert.False(sad.TryAdd(second));
        Assert.Same(first, sad.Find(first.Id));
        Assert.Equal(1, sad.Count);
        Assert.Equal(generation, sad.Generation);
        Assert.False(sad.Remove(second));
        Assert.NotEqual(SaState.Dead, second.State);
    }

    [Fact]
    public void TryAdd_LarvalWithoutSpi_DoNotCollide()
    {
        Add(Build.Sa(0, state: SaState.Larval, sequence: 1));
        Add(Build.Sa(0, state: SaState.Larval, sequence: 2));
        Assert.Equal(2, sad.Count);
        Assert.Null(sad.Find(new SaIdentity(default, Build.Peer)));
    }

    [Fact]
    public void TryAdd_InASadOrDisposed_Throws()
    {
        var sa = Add(Build.Sa(0x100));
        Assert.Throws<InvalidOperationException>(() => sad.TryAdd(sa));
        Assert.Throws<InvalidOperationException>(() => new SecurityAssociationDatabase().TryAdd(sa));
        sad.Remove(sa);
        Assert.Throws<InvalidOperationException>(() => sad.TryAdd(sa));
    }

    [Fact]
    public void Remove_DisposesAfterItTold()
    {
        var transform = new NullTransform();
        var sa = Add(Build.Sa(0x100, transform: transform));
        var seen = new List<bool>();
        sad.Removed += removed => seen.Add(removed == sa && !transform.IsDisposed && sad.Find(sa.Id) is null && removed.State == SaState.Valid);
        Assert.True(sad.Remove(sa));
        Assert.Equal([true], seen);
        Assert.True(transform.IsDisposed);
        Assert.Equal(SaState.Dead, sa.State);
        Assert.False(sad.Remove(sa));
        Assert.Equal(0, sad.Count);
        Assert.Empty(sad.All);
    }

    [Fact]
    public void Remove_OfAnotherSad_IsFalse()
    {
        var sa = Build.Sa(0x100);
        var elsewhere = new SecurityAssociationDatabase();
        Assert.True(elsewhere.TryAdd(sa));
        Assert.False(sad.Remove(sa));
        Assert.NotNull(elsewhere.Find(sa.Id));
    }

    [Fact]
    public void All_IsInOrderOfInsertion()
    {
        foreach (uint spi in (uint[])[0x300, 0x100, 0x200])
        {
            Add(Build.Sa(spi));
        }

        sad.Remove(sad.Find(new SaIdentity(new Spi(0x100), Build.Peer))!);
        Add(Build.Sa(0x100));
        Assert.Equal([0x300u, 0x200u, 0x100u], sad.All.Select(sa => sa.Id.Spi.Value));
    }

    [Fact]
    public void FindLarval_BySequence_OnlyLarvalAndOldest()
    {
        Add(Build.Sa(0x100, sequence: 7));
        Assert.Null(sad.FindLarval(7));
        var first = Add(Build.Sa(0x200, state: SaState.Larval, sequence: 7));
        var second = Add(Build.Sa(0, state: SaState.Larval, sequence: 7));
        Assert.Same(first, sad.FindLarval(7));
        sad.Remove(first);
        Assert.Same(second, sad.FindLarval(7));
        sad.Remove(second);
        Assert.Null(sad.FindLarval(7));
        Assert.Null(sad.FindLarval(0));
    }

    [Fact]
    public void FindAcquiring_ByAddressesAndReqId_OnlyWithoutSpi()
    {
        Add(Build.Sa(0x300, reqId: 5, state: SaState.Larval));
        Assert.Null(sad.FindAcquiring(Build.Here, Build.Peer, 5, IpsecMode.Tunnel));
        var larval = Add(Build.Sa(0, reqId: 5, state: SaState.Larval));
        Assert.Same(larval, sad.FindAcquiring(Build.Here, Build.Peer, 5, IpsecMode.Tunnel));
        Assert.Null(sad.FindAcquiring(Build.Here, Build.Peer, 6, IpsecMode.Tunnel));
        Assert.Null(sad.FindAcquiring(Build.Peer, Build.Here, 5, IpsecMode.Tunnel));
        sad.Remove(larval);
        Assert.Null(sad.FindAcquiring(Build.Here, Build.Peer, 5, IpsecMode.Tunnel));
    }

    [Fact]
    public void FindAcquiring_OfSeveralModes_TakesThatOfTheMode()
    {
        var transport = Add(Build.Sa(0, reqId: 5, state: SaState.Larval, mode: IpsecMode.Transport));
        Assert.Null(sad.FindAcquiring(Build.Here, Build.Peer, 5, IpsecMode.Tunnel));
        var tunnel = Add(Build.Sa(0, reqId: 5, state: SaState.Larval));
        Assert.Same(tunnel, sad.FindAcquiring(Build.Here, Build.Peer, 5, IpsecMode.Tunnel));
        Assert.Same(transport, sad.FindAcquiring(Build.Here, Build.Peer, 5, IpsecMode.Transport));
    }

    [Fact]
    public void Resolve_Rekey_TakesTheNewestThatIsNotDying()
    {
        var policy = Build.Policy(template: Build.Template(reqId: 1));
        var old = Add(Build.Sa(0x100, reqId: 1, addTime: 10));
        Assert.Same(old, Resolve(policy));
        var newer = Add(Build.Sa(0x101, reqId: 1, addTime: 20));
        Assert.Same(newer, Resolve(policy));
        var late = Add(Build.Sa(0x102, reqId: 1, addTime: 15));
        Assert.Same(newer, Resolve(policy));
        newer.Dying = true;
        sad.Touch();
        Assert.Same(late, Resolve(policy));
        late.Dying = true;
        old.Dying = true;
        sad.Touch();
        Assert.Same(newer, Resolve(policy));
        sad.Remove(newer);
        Assert.Same(late, Resolve(policy));
    }

    [Fact]
    public void Resolve_SameAddTime_TakesTheLatestAdded()
    {
        var policy = Build.Policy(template: Build.Template(reqId: 1));
        Add(Build.Sa(0x100, reqId: 1));
        var second = Add(Build.Sa(0x101, reqId: 1));
        Assert.Same(second, Resolve(policy));
    }

    [Fact]
    public void Resolve_WorkerMarksTheCachedOne_LooksAgainWithoutTouch()
    {
        var policy = Build.Policy(template: Build.Template(reqId: 1));
        var old = Add(Build.Sa(0x100, reqId: 1, addTime: 1));
        var newer = Add(Build.Sa(0x101, reqId: 1, addTime: 2));
        Assert.Same(newer, Resolve(policy));
        newer.Dying = true;
        Assert.Same(old, Resolve(policy));
        old.State = SaState.Expired;
        Assert.Same(newer, Resolve(policy));
        newer.State = SaState.Expired;
        Assert.Null(Resolve(policy));
    }

    [Theory]
    [InlineData(0u, "192.0.2.1", "192.0.2.2", 1u, true)]
    [InlineData(0x100u, "192.0.2.1", "192.0.2.2", 1u, true)]
    [InlineData(0x101u, "192.0.2.1", "192.0.2.2", 1u, false)]
    [InlineData(0u, "192.0.2.1", "192.0.2.2", 0u, false)] // reqid 0 is a value, not a wildcard, when sending
    [InlineData(0u, "192.0.2.1", "192.0.2.3", 1u, false)]
    [InlineData(0u, "192.0.2.3", "192.0.2.2", 1u, false)]
    [InlineData(0u, "0.0.0.0", "192.0.2.2", 1u, true)]
    [InlineData(0u, "0.0.0.0", "0.0.0.0", 1u, true)]
    [InlineData(0x100u, "0.0.0.0", "0.0.0.0", 1u, true)]
    [InlineData(0x101u, "0.0.0.0", "0.0.0.0", 1u, false)]
    [InlineData(0u, "192.0.2.1", "0.0.0.0", 1u, true)]
    [InlineData(0u, "::", "::", 1u, false)]
    public void Resolve_Template_FitsAsTheKernelSays(uint spi, string source, string destination, uint reqId, bool fits)
    {
        var sa = Add(Build.Sa(0x100, reqId: 1));
        var policy = Build.Policy(template: Build.Template(Build.Ip(source), Build.Ip(destination), reqId, spi));
        Assert.Same(fits ? sa : null, Resolve(policy));
    }

    [Fact]
    public void Resolve_LarvalReceivingAndWildcardSas_AreNotForSending()
    {
        Add(Build.Sa(0x100, reqId: 1, state: SaState.Larval));
        Add(Build.Sa(0x101, reqId: 1, flags: SaFlags.WildcardReceive));
        Add(Build.Sa(0x102, reqId: 1, direction: SecurityAssociation.DirectionIn));
        Assert.Null(Resolve(Build.Policy(template: Build.Template(reqId: 1))));
    }

    [Fact]
    public void Resolve_PolicyThatDoesNotProtect_IsNull()
    {
        Add(Build.Sa(0x100));
        Assert.Null(Resolve(Build.Policy()));
        Assert.Null(Resolve(Build.Policy(template: Build.Template(), action: PolicyAction.Block)));
    }

    [Fact]
    public void Resolve_SelectorOfTheSa_MustCoverTheFlowAndIsAskedForEachFlow()
    {
        var policy = Build.Policy("10.0.0.0/8", "10.0.0.0/8", template: Build.Template());
        var wide = Add(Build.Sa(0x100, addTime: 1));
        var narrow = Add(Build.Sa(0x101, addTime: 2, selector: Build.Selector("10.1.0.0/16", "10.2.0.0/16")));
        Assert.Same(narrow, Resolve(policy, Build.Flow("10.1.0.1", "10.2.0.1")));
        Assert.Same(wide, Resolve(policy, Build.Flow("10.3.0.1", "10.2.0.1")));
        Assert.Same(narrow, Resolve(policy, Build.Flow("10.1.0.1", "10.2.0.1")));
        sad.Remove(wide);
        Assert.Null(Resolve(policy, Build.Flow("10.3.0.1", "10.2.0.1")));
    }

    [Fact]
    public void Resolve_SelectorOfAnotherFamily_DoesNotMatch()
    {
        // x->sel.family: set by the kernel from the SA's family unless af-unspec is given.
        Add(Build.Sa(0x100, selector: Build.Selector("0.0.0.0/0", "0.0.0.0/0")));
        var v6 = Build.Policy("2001:db8::/32", "2001:db8::/32", template: Build.Template());
        Assert.Null(Resolve(v6, Build.Flow("2001:db8::1", "2001:db8::2")));
        var unspecific = Add(Build.Sa(0x101, flags: SaFlags.AfUnspec));
        Assert.Same(unspecific, Resolve(v6, Build.Flow("2001:db8::1", "2001:db8::2")));
    }

    [Fact]
    public void Resolve_NoneThenAdded_IsFound()
    {
        var policy = Build.Policy(template: Build.Template());
        Assert.Null(Resolve(policy));
        Assert.Null(Resolve(policy));
        var sa = Add(Build.Sa(0x100));
        Assert.Same(sa, Resolve(policy));
        sad.Remove(sa);
        Assert.Null(Resolve(policy));
    }

    [Fact]
    public void TenThousand_AddResolveRemove_AllocateNothingToResolveAndEndEmpty()
    {
        // A hub: every peer has its own address, all SAs the same reqid.
        var policies = new List<SecurityPolicy>();
        for (uint i = 0; i < 5_000; i++)
        {
            var peer = new InternetAddress(IpVersion.IPv4, (UInt128)(0x0A000000u + i));
            Add(Build.Sa(0x1000 + i, Build.Here, peer, reqId: 1));
            Add(Build.Sa(0x1000 + i, peer, Build.Here, reqId: 1));
            policies.Add(Build.Policy(template: Build.Template(Build.Here, peer, 1)));
        }

        var flow = Build.Flow();
        foreach (var policy in policies)
        {
            Assert.Equal(policy.Templates[0].Destination, sad.Resolve(policy, flow)!.Id.Destination);
        }

        long allocated = Allocation.Least(() =>
        {
            for (int round = 0; round < 3; round++)
            {
                foreach (var policy in policies)
                {
                    sad.Resolve(policy, flow);
                }

                sad.Touch();
            }
        });

        Assert.Equal(0, allocated);
        Assert.Equal(10_000, sad.Count);
        foreach (var sa in sad.All)
        {
            Assert.True(sad.Remove(sa));
        }

        Assert.Equal(0, sad.Count);
        Assert.Null(sad.Resolve(policies[0], flow));
    }

    private SecurityAssociation Add(SecurityAssociation sa)
    {
        Assert.True(sad.TryAdd(sa));
        return sa;
    }

    private SecurityAssociation? Resolve(SecurityPolicy policy) => Resolve(policy, Build.Flow());

    private SecurityAssociation? Resolve(SecurityPolicy policy, FlowKey flow)
    {
        // Twice: the second answer comes from the cache where there is one.
        var first = sad.Resolve(policy, flow);
        Assert.Same(first, sad.Resolve(policy, flow));
        return first;
    }
}
