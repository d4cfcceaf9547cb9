using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests;

/// <summary>What policies let through, and through which SA (RFC 4301 §5, the kernel's __xfrm_policy_check).</summary>
public sealed class PolicyTests
{
    private const string Near = "10.1.0.1";
    private const string Far = "10.2.0.1";

    [Fact]
    public void Outbound_AllowWithoutTemplate_PassesInClear()
    {
        using var pair = new Pair();
        var policy = Pair.AddPolicy(pair.Left, Pair.Policy(Near, Far, PolicyDirection.Out, priority: 1));
        byte[] packet = Packets.Udp(Near, Far);
        var before = pair.Left.Counters.Snapshot();
        pair.Left.SendFromTun(packet);
        Assert.Equal([packet], pair.Left.Bypass.Sent);
        Expect.Changes(
            pair.Left, before, [], (TrafficCounter.TunPacketsRead, 1), (TrafficCounter.BypassedPackets, 1),
            (TrafficCounter.BypassedBytes, packet.Length));
        Assert.Equal((1u, (ulong)packet.Length), (policy.Usage.Packets, policy.Usage.Bytes));
        Assert.Equal((ulong)pair.Left.Clock.GetUtcNow().ToUnixTimeSeconds(), policy.Usage.UseTime);
    }

    [Fact]
    public void Outbound_NoPolicy_PassesInClear()
    {
        using var pair = new Pair();
        byte[] packet = Packets.Udp(Near, "10.9.0.1");
        pair.Left.SendFromTun(packet);
        Assert.Equal([packet], pair.Left.Bypass.Sent);
    }

    [Fact]
    public void Outbound_OptionalTemplateWithoutSa_PassesInClearAndAcquires()
    {
        using var pair = new Pair();
        Pair.AddPolicy(pair.Left, Pair.Policy(
            Near, Far, PolicyDirection.Out, pair.Template(pair.LeftOuter, pair.RightOuter, reqId: 50, optional: true), priority: 1));
        byte[] packet = Packets.Udp(Near, Far);
        pair.Left.SendFromTun(packet);
        Assert.Equal([packet], pair.Left.Bypass.Sent);
        Assert.Equal(IpsecEventKind.Acquire, Assert.Single(pair.Left.TakeEvents()).Kind);
    }

    [Fact]
    public void Outbound_NoSa_OneAcquireUntilTheControlThreadActed()
    {
        using var pair = new Pair();
        var template = pair.Template(pair.LeftOuter, pair.RightOuter, reqId: 50);
        var policy = Pair.AddPolicy(pair.Left, Pair.Policy(Near, Far, PolicyDirection.Out, template, priority: 1));
        for (int i = 0; i < 100; i++)
        {
            pair.Left.SendFromTun(Packets.Udp(Near, Far, destinationPort: (ushort)i));
        }

        var acquire = Assert.Single(pair.Left.TakeEvents());
        Assert.Equal((IpsecEventKind.Acquire, policy), (acquire.Kind, acquire.Policy));
        Assert.Equal(new FlowKey(InternetAddress.Parse(Near), InternetAddress.Parse(Far), 17, 1000, 0), acquire.Flow);
        Assert.Equal(100, pair.Left.Counters.Read(DropReason.OutboundNoSa));
        Assert.Empty(pair.Left.Network.Sent);

        // The control thread has made the larval SA: no more as long as it stands.
        var larval = new SecurityAssociation
        {
            Id = new SaIdentity(new Spi(0), pair.RightOuter),
            Source = pair.LeftOuter,
            ReqId = 50,
            KeyManagerSequence = 1,
        };
        using (pair.Left.Database.Freeze())
        {
            Assert.True(pair.Left.Database.Sad.TryAdd(larval));
        }

        pair.Left.Clock.Advance(TimeSpan.FromSeconds(30));
        pair.Left.SendFromTun(Packets.Udp(Near, Far));
        Assert.Empty(pair.Left.TakeEvents());

        // It timed out: ask again.
        using (pair.Left.Database.Freeze())
        {
            pair.Left.Database.Sad.Remove(larval);
        }

        pair.Left.SendFromTun(Packets.Udp(Near, Far));
        Assert.Single(pair.Left.TakeEvents());

        // That event went nowhere: ask again after a while.
        pair.Left.SendFromTun(Packets.Udp(Near, Far));
        Assert.Empty(pair.Left.TakeEvents());
        pair.Left.Clock.Advance(TimeSpan.FromSeconds(2));
        pair.Left.SendFromTun(Packets.Udp(Near, Far));
        Assert.Single(pair.Left.TakeEvents());
    }

    [Theory]
    [InlineData(Far, PolicyDirection.In)]
    [InlineData("10.2.0.99", PolicyDirection.Forward)]
    public void Inbound_DestinationLocalOrNot_MeetsInOrForward(string destination, PolicyDirection direction)
    {
        using var pair = new Pair();
        var block = Pair.AddPolicy(pair.Right, Pair.Policy(Near, destination, direction, action: PolicyAction.Block, priority: 1));
        var other = direction == PolicyDirection.In ? PolicyDirection.Forward : PolicyDirection.In;
        var unused = Pair.AddPolicy(pair.Right, Pair.Policy(Near, destination, other, action: PolicyAction.Block, priority: 1));
        pair.LeftToRightRun(Packets.Udp(Near, destination));
        Assert.Equal(1, pair.Right.Counters.Read(DropReason.InboundPolicyBlock));
        Assert.Equal((1u, 0u), (block.Usage.Packets, unused.Usage.Packets));
    }

    [Fact]
    public void Inbound_AllowWithoutTemplate_IsMismatchForATunnelledPacket()
    {
        using var pair = new Pair();
        Pair.AddPolicy(pair.Right, Pair.Policy(Near, Far, PolicyDirection.In, priority: 1));
        pair.LeftToRightRun(Packets.Udp(Near, Far));
        Assert.Equal(1, pair.Right.Counters.Read(DropReason.InboundTemplateMismatch));
        Assert.Empty(pair.Right.Tunnel.Written);
    }

    [Theory]
    [InlineData(1u, 0u, "192.0.2.1", (byte)50, false, true)]
    [InlineData(0u, 0u, "192.0.2.1", (byte)50, false, true)]
    [InlineData(0u, 0x1000u, "0.0.0.0", (byte)50, false, true)]
    [InlineData(1u, 0u, "192.0.2.1", (byte)50, true, true)]
    [InlineData(2u, 0u, "192.0.2.1", (byte)50, false, false)]
    [InlineData(2u, 0u, "192.0.2.1", (byte)50, true, false)]
    [InlineData(1u, 0x1001u, "192.0.2.1", (byte)50, false, false)]
    [InlineData(1u, 0u, "192.0.2.9", (byte)50, false, false)]
    [InlineData(1u, 0u, "192.0.2.1", (byte)51, false, false)]
    public void Inbound_Template_DescribesTheSaOrNot(uint reqId, uint spi, string source, byte protocol, bool optional, bool passes)
    {
        using var pair = new Pair(policies: false);
        pair.AddPolicies(pair.Left, "10.1.0.0/16", "10.2.0.0/16", pair.LeftOuter, pair.RightOuter);
        var template = pair.Template(InternetAddress.Parse(source), pair.RightOuter, reqId, spi, optional) with { Protocol = protocol };
        Pair.AddPolicy(pair.Right, Pair.Policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection.In, template));
        pair.LeftToRightRun(Packets.Udp(Near, Far));
        Assert.Equal(passes ? 1 : 0, pair.Right.Tunnel.Written.Count);
        Assert.Equal(passes ? 0 : 1, pair.Right.Counters.Read(DropReason.InboundTemplateMismatch));
    }

    // XFRM_STATE_AF_UNSPEC.
    [Theory]
    [InlineData(SaFlags.AfUnspec, true)]
    [InlineData(SaFlags.None, false)]
    public void Inbound_SelectorOfTheOtherFamily_RestrictsUnlessFlagged(SaFlags flags, bool passes)
    {
        using var pair = new Pair();
        var settings = new TunnelSettings
        {
            Flags = flags,
            Selector = new TrafficSelector(AddressPrefix.AllIPv4, AddressPrefix.AllIPv4, 0, 0, 0, 0, 0),
        };
        Pair.Add(pair.Right, settings, 0x3000, pair.LeftOuter, pair.RightOuter);
        pair.Inject(Forge.Seal(Suite.Gcm, 0x3000, 1, Packets.Udp("fd01::1", "fd02::1"), 41));
        Assert.Equal(passes ? 1 : 0, pair.Right.Tunnel.Written.Count);
        Assert.Equal(passes ? 0 : 1, pair.Right.Counters.Read(DropReason.InboundSelectorMismatch));
    }

    [Fact]
    public void Rekey_NewestSaSendsAndBothReceive()
    {
        using var pair = new Pair();
        byte[] old = pair.Capture(Packets.Udp(Near, Far));
        pair.AddTunnel(new TunnelSettings(), 0x5000, 0x6000);
        byte[] packet = Packets.Udp(Near, Far, payload: 9);
        pair.LeftToRightRun(packet);
        Assert.Equal(0x50, pair.Left.Network.Sent[^1].Packet[2]);
        pair.Inject(old);
        Assert.Equal(2, pair.Right.Tunnel.Written.Count);

        // The old one goes away in the middle of traffic.
        using (pair.Left.Database.Freeze())
        {
            pair.Left.Database.Sad.Remove(pair.LeftOut);
        }

        pair.LeftToRightRun(packet);
        Assert.Equal(3, pair.Right.Tunnel.Written.Count);
    }

    [Fact]
    public void SoftLimit_OutboundSa_ReportedOnceAndTheOtherSaPreferred()
    {
        using var pair = new Pair(new TunnelSettings { Limits = LifetimeLimits.None with { SoftPackets = 3 } });
        for (int i = 0; i < 6; i++)
        {
            pair.LeftToRightRun(Packets.Udp(Near, Far));
        }

        Assert.Equal(6, pair.Right.Tunnel.Written.Count);
        var notice = Assert.Single(pair.Left.TakeEvents());
        Assert.Equal((IpsecEventKind.SoftExpired, pair.LeftOut), (notice.Kind, notice.Association));
        Assert.True(pair.LeftOut.Dying);
        Assert.Equal(IpsecEventKind.SoftExpired, Assert.Single(pair.Right.TakeEvents()).Kind);
    }

    [Fact]
    public void HardLimit_InTheMiddleOfABatch_StopsThereAndReportsOnce()
    {
        using var pair = new Pair(new TunnelSettings { Limits = LifetimeLimits.None with { HardPackets = 3 } });
        byte[][] packets = [.. Enumerable.Range(0, 10).Select(i => Packets.Udp(Near, Far, payload: i))];
        pair.LeftToRightRun(packets);
        Assert.Equal(packets[..3], pair.Right.Tunnel.Written);
        Assert.Equal(1, pair.Left.Counters.Read(DropReason.OutboundSaExpired));

        // From then on there is no SA: the packets ask for a new one.
        Assert.Equal(6, pair.Left.Counters.Read(DropReason.OutboundNoSa));
        Assert.Equal(
            [IpsecEventKind.HardExpired, IpsecEventKind.Acquire], pair.Left.TakeEvents().Select(value => value.Kind));
        Assert.Equal(SaState.Expired, pair.LeftOut.State);
        Assert.Equal(3u, pair.LeftOut.Usage.Packets);
    }

    [Fact]
    public void HardLimit_InboundInTheMiddleOfABatch_StopsThere()
    {
        using var pair = new Pair();
        var settings = new TunnelSettings { Limits = LifetimeLimits.None with { HardPackets = 3 } };
        Pair.Add(pair.Right, settings, 0x3000, pair.LeftOuter, pair.RightOuter);
        for (uint i = 1; i <= 5; i++)
        {
            pair.Enqueue(Forge.Seal(Suite.Gcm, 0x3000, i, Packets.Udp(Near, Far), 4));
        }

        pair.Right.RunInbound();
        Assert.Equal(3, pair.Right.Tunnel.Written.Count);
        Assert.Equal(2, pair.Right.Counters.Read(DropReason.InboundSaExpired));
        Assert.Equal(IpsecEventKind.HardExpired, Assert.Single(pair.Right.TakeEvents()).Kind);
    }

    [Fact]
    public void Bypass_EqualPacketsOfAnApplication_AllPass()
    {
        using var pair = new Pair();
        byte[] packet = Packets.Udp("fd01::1", "fd09::1");
        for (int i = 0; i < 1000; i++)
        {
            pair.Left.SendFromTun(packet);
        }

        Assert.Equal(1000, pair.Left.Bypass.Sent.Count);
        Assert.Equal(0, pair.Left.Counters.Snapshot().TotalDrops);
        Assert.Equal(packet, pair.Left.Bypass.Sent[0]);
        Assert.All(pair.Left.Bypass.Sent.Skip(1), sent => Assert.Equal(63, sent[7]));
    }

    [Theory]
    [InlineData("10.1.0.1", "10.9.0.1")]
    [InlineData("fd01::1", "fd09::1")]
    public void Bypass_Loop_EndsInItsThirdRoundForEveryPacketOfABurst(string source, string destination)
    {
        using var pair = new Pair();
        pair.Left.Bypass.Carry = packet => pair.Left.Tunnel.Put(packet);
        byte[][] packets = [.. Enumerable.Range(0, 100).Select(i => Packets.Udp(source, destination, payload: i))];
        pair.Left.SendFromTun(packets);
        Assert.Equal(100, pair.Left.Counters.Read(DropReason.OutboundBypassLoop));
        Assert.Equal(200, pair.Left.Counters.Read(TrafficCounter.BypassedPackets));
        if (source.Contains('.', StringComparison.Ordinal))
        {
            Assert.All(pair.Left.Bypass.Sent, sent => Assert.True(Wire.Packets.IPv4Packet.TryParse(sent, out var view) && view.HasValidChecksum));
        }
    }

    [Fact]
    public void Bypass_LoopWithoutHopsToLose_EndsToo()
    {
        using var pair = new Pair();
        pair.Left.Bypass.Carry = packet => pair.Left.Tunnel.Put(packet);
        pair.Left.SendFromTun(Packets.Udp(Near, "10.9.0.1", timeToLive: 1));
        Assert.Equal(1, pair.Left.Counters.Read(DropReason.OutboundBypassLoop));
        Assert.Equal(0, pair.Left.Tunnel.ToDataPlane.Count);
    }
}
