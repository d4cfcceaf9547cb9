using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Events;

/// <summary>What the workers tell and what the clock brings becomes changes of the SAD and notifications.</summary>
public sealed class EventPumpTests
{
    [Fact]
    public void SoftLimit_IsToldOnceWithTheSaInPlace()
    {
        using var service = new ServiceHarness();
        var sa = AddSa(service);

        Post(service, IpsecEventKind.SoftExpired, sa);
        service.Service.Events.Drain();

        var parsed = Parsed.All(Assert.Single(service.Notifications).Message)[0];
        Assert.Equal(((ushort)XfrmMessage.Expire, (byte)0), (parsed.Type, parsed.Body<XfrmUserExpire>().Hard));
        Assert.True(sa.Dying);
        Assert.Equal(SaState.Valid, sa.State);
    }

    // The packets of one batch may meet both limits before anybody is told: the kernel tells of both, the soft one first.
    [Fact]
    public void SoftAndHardLimit_OfOneBatch_AreToldInOrder()
    {
        using var service = new ServiceHarness();
        var sa = AddSa(service);
        (sa.Dying, sa.State) = (true, SaState.Expired);

        Post(service, IpsecEventKind.SoftExpired, sa);
        Post(service, IpsecEventKind.HardExpired, sa);
        service.Service.Events.Drain();

        Assert.Equal([0, 1], service.Notifications.Select(told => (int)Parsed.All(told.Message)[0].Body<XfrmUserExpire>().Hard));
        Assert.Equal(0, service.Database.Sad.Count);
        Assert.Equal(2, service.Service.Events.Expirations);
    }

    [Fact]
    public void HardLimit_RemovesThenTellsOnce()
    {
        using var service = new ServiceHarness();
        var sa = AddSa(service);
        sa.State = SaState.Expired;
        sa.Usage.Packets = 7;

        Post(service, IpsecEventKind.HardExpired, sa);
        Post(service, IpsecEventKind.HardExpired, sa);
        service.Service.Events.Drain();

        var expire = Parsed.All(Assert.Single(service.Notifications).Message)[0].Body<XfrmUserExpire>();
        Assert.Equal((1, 7ul), (expire.Hard, expire.State.Current.Packets));
        Assert.Equal(0, service.Database.Sad.Count);
        Assert.Equal(SaState.Dead, sa.State);
        Assert.Equal(1, service.Service.Events.Expirations);
    }

    [Fact]
    public void TimeLimits_SoftThenHard_AreTold()
    {
        var clock = new ManualClock();
        using var service = new ServiceHarness(clock);
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) =>
        {
            info.Limits.SoftAddExpiresSeconds = 10;
            info.Limits.HardAddExpiresSeconds = 20;
        }));
        service.Expect(Request.NewPolicy(change: (ref XfrmUserPolicyInfo info) => info.Limits.HardAddExpiresSeconds = 15));
        service.Notifications.Clear();

        for (int i = 0; i < 25; i++)
        {
            clock.Advance(TimeSpan.FromSeconds(1));
            service.Service.Events.RunDue();
        }

        Assert.Equal(
            [(XfrmMessage.Expire, 0), (XfrmMessage.PolicyExpire, 1), (XfrmMessage.Expire, 1)],
            service.Notifications.Select(n => Parsed.All(n.Message)[0]).Select(m => ((XfrmMessage)m.Type, (int)(m.Type == (ushort)XfrmMessage.Expire
                ? m.Body<XfrmUserExpire>().Hard : m.Body<XfrmUserPolicyExpire>().Hard))));
        Assert.Equal(0, service.Database.Sad.Count);
        Assert.Empty(service.Database.Spd.Policies);
        Assert.Null(service.Service.Events.NextDue);
    }

    [Fact]
    public void Mapping_IsToldWithOldAndNew_AndTheSaStays()
    {
        using var service = new ServiceHarness();
        var sa = AddSa(service, encapsulated: true);

        Post(service, IpsecEventKind.Mapping, sa, "198.51.100.9", 1024);
        service.Service.Events.Drain();

        var mapping = Parsed.All(Assert.Single(service.Notifications).Message)[0].Body<XfrmUserMapping>();
        Assert.Equal("192.0.2.1", XfrmConversions.ToAddress(mapping.OldSourceAddress, IpVersion.IPv4).ToString());
        Assert.Equal("198.51.100.9", XfrmConversions.ToAddress(mapping.NewSourceAddress, IpVersion.IPv4).ToString());
        Assert.Equal((4500, 1024), (XfrmConversions.Swap(mapping.OldSourcePort), XfrmConversions.Swap(mapping.NewSourcePort)));
        Assert.Equal("192.0.2.1", sa.Source.ToString());
        Assert.Equal(4500, sa.Encapsulation!.Value.SourcePort);
    }

    [Fact]
    public void Mapping_WithThreshold_TellsTheSamePortAgainOnlyLater()
    {
        var clock = new ManualClock();
        using var service = new ServiceHarness(clock);
        var sa = AddSa(service, encapsulated: true);
        sa.MappingMaxAge = 60;
        void Told(string address, ushort port, int seconds, int expected)
        {
            clock.Advance(TimeSpan.FromSeconds(seconds));
            Post(service, IpsecEventKind.Mapping, sa, address, port);
            service.Service.Events.Drain();
            Assert.Equal(expected, service.Notifications.Count);
        }

        Told("198.51.100.9", 1024, 0, 1);
        Told("198.51.100.8", 1024, 1, 1);
        Told("198.51.100.8", 1025, 1, 2);
        Told("198.51.100.9", 1025, 60, 2);
        Told("198.51.100.9", 1025, 1, 3);
    }

    [Fact]
    public void Mapping_OfAnSaWithoutEncapsulation_IsNotTold()
    {
        using var service = new ServiceHarness();
        Post(service, IpsecEventKind.Mapping, AddSa(service), "198.51.100.9", 1024);

        service.Service.Events.Drain();

        Assert.Empty(service.Notifications);
    }

    [Fact]
    public void PathMtu_IsHandedOn()
    {
        using var service = new ServiceHarness();
        var sa = AddSa(service);
        var told = new List<int>();
        service.Service.Events.PathMtuLearnt = value => told.Add(value.PathMtu);
        service.Database.Events.TryPost(new IpsecEvent(IpsecEventKind.PathMtu, sa, null, default, default, 0, 1400));

        service.Service.Events.Drain();

        Assert.Equal([1400], told);
    }

    [Fact]
    public void Events_ManyAtOnce_AreHandledInPortions()
    {
        using var service = new ServiceHarness();
        var sa = AddSa(service, encapsulated: true);
        for (int i = 0; i < 100; i++)
        {
            Post(service, IpsecEventKind.Mapping, sa, "198.51.100.9", (ushort)(1000 + i));
        }

        int portions = 1;
        while (service.Service.Events.Drain())
        {
            portions++;
        }

        Assert.Equal(100, service.Notifications.Count);
        Assert.InRange(portions, 2, 100);
    }

    [Fact]
    public void ReplayState_ThatMoved_IsToldWhileSomebodyListens()
    {
        using var service = new ServiceHarness();
        var sa = AddSa(service);
        service.Deaf.Add(XfrmGroup.AsyncEvents);
        Assert.Equal(-1, service.Service.Events.NotifyReplay());
        service.Deaf.Clear();
        Assert.InRange(service.Service.Events.NotifyReplay(), 1, 1000);
        sa.OutboundSequence = 500;

        Wait.Until(() => service.Service.Events.NotifyReplay() > 0 && service.Notifications.Count > 0, "the next look");

        var parsed = Parsed.All(Assert.Single(service.Notifications).Message)[0];
        Assert.Equal((ushort)XfrmMessage.NewAsyncEvent, parsed.Type);
        Assert.Equal(XfrmValue.AeCauseReplay, parsed.Body<XfrmAsyncEventId>().Flags);
        Assert.Equal(500u, BitConverter.ToUInt32(parsed.Attributes(48)[0].Value));
    }

    private static SecurityAssociation AddSa(ServiceHarness service, bool encapsulated = false)
    {
        var request = Request.NewSa();
        service.Expect(encapsulated
            ? request.With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 0x9411, DestinationPort = 0x9411 }) : request);
        service.Notifications.Clear();
        return service.Database.Sad.All.Single();
    }

    private static void Post(ServiceHarness service, IpsecEventKind kind, SecurityAssociation sa, string peer = "0.0.0.0", ushort port = 0) =>
        Assert.True(service.Database.Events.TryPost(new IpsecEvent(kind, sa, null, default, InternetAddress.Parse(peer), port, 0)));
}
