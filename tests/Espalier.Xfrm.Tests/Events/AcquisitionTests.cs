using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Events;

/// <summary>Packets without an SA: the larval SAs and ACQUIREs that they cause.</summary>
public sealed class AcquisitionTests
{
    private static readonly FlowKey Flow = new(InternetAddress.Parse("10.1.0.1"), InternetAddress.Parse("10.2.0.1"), 6, 40000, 443);

    [Fact]
    public void Acquire_FirstPacket_MakesOneLarvalSaAndOneMessage()
    {
        using var service = new ServiceHarness();
        var policy = AddPolicy(service, Request.Template(reqId: 9));

        Post(service, policy, Flow);
        Post(service, policy, Flow with { SourcePort = 40001 });
        service.Service.Events.Drain();

        var larval = Assert.Single(service.Database.Sad.All);
        Assert.Equal((SaState.Larval, 9u, 0u), (larval.State, larval.ReqId, larval.Id.Spi.Value));
        var (group, message) = Assert.Single(service.Notifications);
        Assert.Equal(XfrmGroup.Acquire, group);
        var parsed = Parsed.All(message)[0];
        var acquire = parsed.Body<XfrmUserAcquire>();
        Assert.Equal((ushort)XfrmMessage.Acquire, parsed.Type);
        Assert.Equal(280, System.Runtime.CompilerServices.Unsafe.SizeOf<XfrmUserAcquire>());
        Assert.Equal([XfrmAttribute.Template, XfrmAttribute.PolicyType], parsed.Attributes(280).Select(a => (XfrmAttribute)a.Type));
        Assert.Equal(larval.KeyManagerSequence, acquire.Sequence);
        Assert.NotEqual(0u, acquire.Sequence);
        Assert.Equal(InternetAddress.Parse("192.0.2.2"), XfrmConversions.ToAddress(acquire.Id.DestinationAddress, IpVersion.IPv4));
        Assert.Equal(InternetAddress.Parse("192.0.2.1"), XfrmConversions.ToAddress(acquire.SourceAddress, IpVersion.IPv4));
        Assert.Equal((byte)50, acquire.Id.Protocol);
        var selector = XfrmConversions.ToSelector(acquire.Selector, IpVersion.IPv4);
        Assert.Equal((AddressPrefix.Parse("10.1.0.1"), AddressPrefix.Parse("10.2.0.1")), (selector.Source, selector.Destination));
        Assert.Equal((6, 40000, 443, 0xffff), (selector.Protocol, selector.SourcePort, selector.DestinationPort, selector.DestinationPortMask));
        Assert.Equal(policy.Index, acquire.Policy.Index);
        Assert.Equal(uint.MaxValue, acquire.AuthenticationAlgorithms);
    }

    [Fact]
    public void Acquire_AfterTheLarvalSaExpired_AsksAgain()
    {
        var clock = new ManualClock();
        using var service = new ServiceHarness(clock);
        var policy = AddPolicy(service, Request.Template());
        Post(service, policy, Flow);
        service.Service.Events.Drain();
        clock.Advance(TimeSpan.FromSeconds(30));
        service.Service.Events.RunDue();
        Assert.Equal(0, service.Database.Sad.Count);

        Post(service, policy, Flow);
        service.Service.Events.Drain();

        Assert.Equal([XfrmGroup.Acquire, XfrmGroup.Expire, XfrmGroup.Acquire], service.Notifications.Select(n => n.Group));
        Assert.Equal(2, service.Service.Events.Acquires);
    }

    [Fact]
    public void Acquire_WithoutListener_MakesNothing()
    {
        using var service = new ServiceHarness();
        service.Deaf.Add(XfrmGroup.Acquire);
        Post(service, AddPolicy(service, Request.Template()), Flow);

        service.Service.Events.Drain();

        Assert.Equal(0, service.Database.Sad.Count);
    }

    [Fact]
    public void Acquire_WhileAnSaExists_MakesNothing()
    {
        using var service = new ServiceHarness();
        var policy = AddPolicy(service, Request.Template(reqId: 1));
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => (info.ReqId, info.Flags) = (1, 32)));

        Post(service, policy, Flow);
        service.Notifications.Clear();
        service.Service.Events.Drain();

        Assert.Empty(service.Notifications);
        Assert.Single(service.Database.Sad.All);
    }

    [Fact]
    public void Acquire_OfARemovedPolicy_MakesNothing()
    {
        using var service = new ServiceHarness();
        var policy = AddPolicy(service, Request.Template());
        Post(service, policy, Flow);
        service.Expect(Request.Bare(XfrmMessage.FlushPolicy));

        service.Service.Events.Drain();

        Assert.Equal(0, service.Database.Sad.Count);
    }

    [Fact]
    public void Acquire_TooMany_AreCountedAsErrors()
    {
        using var service = new ServiceHarness(options: new XfrmOptions { MaximumAcquiring = 10 });
        for (int i = 0; i < 15; i++)
        {
            Post(service, AddPolicy(service, Request.Template(destination: $"192.0.2.{i + 10}"), $"10.{i}.0.0/16"), Flow);
        }

        Assert.False(service.Service.Events.Drain());

        Assert.Equal(10, service.Database.Sad.Count);
        Assert.Equal(5, service.Service.Events.AcquireErrors);
        service.Expect(Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 0));
        Assert.Equal(0, service.Service.Context.AcquiringCount);
    }

    // pluto's is in transport mode, which is no mode of Espalier's SAs: a trap only.
    [Theory]
    [InlineData(XfrmValue.ModeTunnel)]
    [InlineData(XfrmValue.ModeTransport)]
    public void Acquire_TemplateWithoutAddresses_TakesThePackets(byte mode)
    {
        using var service = new ServiceHarness();
        Post(service, AddPolicy(service, Request.Template("0.0.0.0", "0.0.0.0", change: (ref XfrmUserTemplate template) => template.Mode = mode)), Flow);

        service.Service.Events.Drain();

        var acquire = Parsed.All(Assert.Single(service.Notifications).Message)[0].Body<XfrmUserAcquire>();
        Assert.Equal(Flow.Destination, XfrmConversions.ToAddress(acquire.Id.DestinationAddress, IpVersion.IPv4));
        Assert.Equal(Flow.Source, XfrmConversions.ToAddress(acquire.SourceAddress, IpVersion.IPv4));
    }

    [Fact]
    public void Acquire_AnsweredByAllocSpiWithItsNumber_FillsTheLarvalSa()
    {
        using var service = new ServiceHarness();
        Post(service, AddPolicy(service, Request.Template(reqId: 3)), Flow);
        service.Service.Events.Drain();
        uint sequence = Assert.Single(service.Database.Sad.All).KeyManagerSequence;

        service.Expect(Request.AllocSpi(0x1000, 0x1000, change: (ref XfrmUserSpiInfo info) => info.Info.Sequence = sequence));

        var larval = Assert.Single(service.Database.Sad.All);
        Assert.Equal((0x1000u, sequence, 3u), (larval.Id.Spi.Value, larval.KeyManagerSequence, larval.ReqId));
        Assert.Equal(6, larval.Selector.Protocol);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0x1000)]
    public void Acquire_AnsweredByAllocSpiWithADirection_GivesItToTheLarvalSa(uint templateSpi)
    {
        using var service = new ServiceHarness();
        Post(service, AddPolicy(service, Request.Template(change: (ref XfrmUserTemplate template) => template.Id.Spi = XfrmConversions.Swap(templateSpi))), Flow);
        service.Service.Events.Drain();
        var made = Assert.Single(service.Database.Sad.All);
        Assert.Equal(XfrmValue.DirectionOut, made.SaDirection);

        byte[] request = Request.AllocSpi(0x1000, 0x1000, change: (ref XfrmUserSpiInfo info) => info.Info.Sequence = made.KeyManagerSequence)
            .WithBytes(XfrmAttribute.SaDirection, XfrmValue.DirectionIn);
        service.Expect(request);

        var larval = Assert.Single(service.Database.Sad.All);
        Assert.Equal((0x1000u, XfrmValue.DirectionIn), (larval.Id.Spi.Value, larval.SaDirection));
    }

    // xfrm_state_find: an SA that is asked for in one mode is none that is asked for in another.
    [Fact]
    public void Acquire_OfAnotherMode_AsksToo()
    {
        using var service = new ServiceHarness();
        var trap = AddPolicy(service, Request.Template("0.0.0.0", "0.0.0.0", change: (ref XfrmUserTemplate template) => template.Mode = XfrmValue.ModeTransport));
        Post(service, trap, Flow);
        service.Service.Events.Drain();
        Post(service, AddPolicy(service, Request.Template("10.1.0.1", "10.2.0.1"), "10.1.0.0/24"), Flow);
        service.Service.Events.Drain();

        Assert.Equal([IpsecMode.Transport, IpsecMode.Tunnel], service.Database.Sad.All.Select(sa => sa.Mode));
    }

    private static SecurityPolicy AddPolicy(ServiceHarness service, XfrmUserTemplate template, string source = "10.1.0.0/16")
    {
        service.Expect(Request.NewPolicy(source).With(XfrmAttribute.Template, template));
        service.Notifications.Clear();
        return service.Database.Spd.Policies.Last();
    }

    private static void Post(ServiceHarness service, SecurityPolicy policy, FlowKey flow) =>
        Assert.True(service.Database.Events.TryPost(new IpsecEvent(IpsecEventKind.Acquire, null, policy, flow, default, 0, 0)));
}
