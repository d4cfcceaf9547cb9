using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>HMAC takes keys of any length, but what tells of the SA must fit in a datagram.</summary>
public sealed class KeyLengthTests
{
    [Fact]
    public void NewSa_LongestKeyAndEveryAttribute_IsToldInOneDatagram()
    {
        using var service = new ServiceHarness();

        service.Expect(WithEverything(AlgorithmParser.LongestKey));
        AssertNotified(service);
        service.Expect(Request.SaId(XfrmMessage.GetSa, flags: Netlink.Request));
        Assert.Equal(2, service.Handle(Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump)).Length);
        service.Expect(Request.SaId(XfrmMessage.DeleteSa));
        AssertNotified(service);
    }

    [Theory]
    [InlineData(AlgorithmParser.LongestKey + 1)]
    [InlineData(1900)]
    [InlineData(20_000)]
    [InlineData(60_000)]
    public void NewSa_LongerKey_IsRefusedByNameAndChangesNothing(int length)
    {
        using var service = new ServiceHarness();

        var error = service.ExpectError(WithEverything(length));

        Assert.Equal(LinuxError.Invalid, error.Errno);
        Assert.Equal("The key of hmac(sha512) is longer than 4096 bits", error.Text);
        Assert.Equal(0, service.Database.Sad.Count);
        Assert.Single(service.Handle(Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump)));
    }

    private static void AssertNotified(ServiceHarness service) =>
        Assert.InRange(Assert.Single(service.Notifications).Message.Length, 1, XfrmContext.MaximumDatagram);

    private static Request WithEverything(int keyLength) => Request
        .NewSa(aead: false, change: (ref XfrmUserSaInfo info) => info.Flags = 128)
        .WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "cbc(aes)", Request.Key(32))
        .WithAlgorithm(XfrmAttribute.AlgorithmAuthenticationTruncated, "hmac(sha512)", Request.Key(keyLength), 256)
        .WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 128, ReplayWindow = 4096 }, new uint[128])
        .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 1, DestinationPort = 1 })
        .With(XfrmAttribute.MappingTimerThreshold, 5u)
        .With(XfrmAttribute.TfcPadding, 1000u)
        .With(XfrmAttribute.LifetimeValue, new XfrmLifetimeCurrent { UseTime = 1 })
        .WithBytes(XfrmAttribute.CareOfAddress, new byte[16])
        .WithBytes(XfrmAttribute.SaDirection, 1);
}
