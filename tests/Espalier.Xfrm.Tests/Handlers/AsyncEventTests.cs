using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>NEWAE and GETAE of valid SAs.</summary>
public sealed class AsyncEventTests
{
    private static SaIdentity Id(uint spi = 0x1000, string destination = "192.0.2.2") => new(new Spi(spi), InternetAddress.Parse(destination));

    [Fact]
    public void NewAe_SetsReplayAndLifetime_AndNotifies()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReplayWindow = 32));
        byte[] request = Ae(XfrmMessage.NewAsyncEvent, Request.Ack | Netlink.Replace)
            .With(XfrmAttribute.ReplayValue, new XfrmReplayState { OutboundSequence = 9, Sequence = 12, Bitmap = 1 })
            .With(XfrmAttribute.LifetimeValue, new XfrmLifetimeCurrent { Bytes = 5, Packets = 6, AddTime = 7, UseTime = 8 })
            .With(XfrmAttribute.ReplayThreshold, 44u);

        service.Expect(request);

        var sa = service.Database.Sad.Find(Id())!;
        Assert.Equal((9ul, 12ul, 5ul, 6ul, 44u), (sa.OutboundSequence, sa.Replay!.Highest, sa.Usage.Bytes, sa.Usage.Packets, sa.ReplayMaxDifference));
        var notified = Parsed.All(Assert.Single(service.Notifications).Message)[0];
        Assert.Equal(XfrmValue.AeCauseUpdate, notified.Body<XfrmAsyncEventId>().Flags);
        var answer = Parsed.All(service.Expect(Ae(XfrmMessage.GetAsyncEvent, Netlink.Request, XfrmValue.AeReplayThreshold | XfrmValue.AeTimerThreshold)))[0];
        Assert.Equal(
            [XfrmAttribute.ReplayValue, XfrmAttribute.LifetimeValue, XfrmAttribute.ReplayThreshold, XfrmAttribute.EventTimerThreshold],
            answer.Attributes(48).Select(a => (XfrmAttribute)a.Type));
    }

    [Fact]
    public void NewAe_OfOtherBitmapSize_IsRefused()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa().WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0, 0));
        byte[] Set(XfrmReplayStateEsn state, params uint[] bitmap) =>
            Ae(XfrmMessage.NewAsyncEvent, Request.Ack | Netlink.Replace).WithReplayEsn(state, bitmap);

        Assert.Contains("too short", service.ExpectError(Set(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0)).Text, StringComparison.Ordinal);
        Assert.Contains("size", service.ExpectError(Set(new XfrmReplayStateEsn { BitmapLength = 2, ReplayWindow = 64 }, 0, 0)).Text, StringComparison.Ordinal);
        Assert.Contains("longer", service.ExpectError(Set(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 129 }, 0, 0, 0, 0)).Text, StringComparison.Ordinal);
        service.Expect(Set(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 96, Sequence = 5 }, 0x10, 0, 0, 0));

        var sa = service.Database.Sad.Find(Id())!;
        Assert.Equal((96, 5ul), (sa.ReplayWindowSize, sa.Replay!.Highest));
    }

    private static Request Ae(XfrmMessage type, int header, uint flags = 0) => Request.Of(
        type,
        (ref XfrmAsyncEventId id) =>
        {
            id.Id.DestinationAddress = XfrmConversions.FromAddress(InternetAddress.Parse("192.0.2.2"));
            id.Id.Spi = XfrmConversions.Swap(0x1000u);
            id.Id.Family = 2;
            id.Id.Protocol = 50;
            id.Flags = flags;
        },
        header);
}
