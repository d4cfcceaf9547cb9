using System.Text;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>NEWSA, DELSA and GETSA where the kernel at hand cannot be asked, because it has no ESP: against its source's rules.</summary>
public sealed class SaHandlerTests
{
    private const int SaHeader = 224;

    private static SaIdentity Id(uint spi = 0x1000, string destination = "192.0.2.2") => new(new Spi(spi), InternetAddress.Parse(destination));

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void GetSa_Unknown_IsExpiredWhereTheOptionSaysSo(bool expireUnknown)
    {
        using var service = new ServiceHarness(options: new XfrmOptions { ExpireUnknown = expireUnknown });

        var answer = Parsed.All(Assert.Single(service.Handle(Request.SaId(XfrmMessage.GetSa))))[0];

        Assert.Equal(LinuxError.NoProcess, answer.Errno);
        Assert.Equal(expireUnknown ? 1 : 0, service.Notifications.Count);
        if (expireUnknown)
        {
            var (group, message) = service.Notifications[0];
            var expire = Parsed.All(message)[0].Body<XfrmUserExpire>();
            Assert.Equal((XfrmGroup.Expire, (byte)1, (byte)50), (group, expire.Hard, expire.State.Id.Protocol));
            Assert.Equal(Request.SaId(XfrmMessage.GetSa).Bytes()[16..36], message[(16 + 56)..(16 + 76)]);
        }
    }

    [Fact]
    public void NewSa_WithEveryAttribute_IsAnsweredInTheKernelsOrder()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(aead: false, change: (ref XfrmUserSaInfo info) =>
            {
                info.ReqId = 7;
                info.Sequence = 9;
                info.Flags = 128 | 32;
            })
            .With(XfrmAttribute.ReplayThreshold, 5u)
            .With(XfrmAttribute.MappingTimerThreshold, 30u)
            .WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 100, OutboundSequence = 3, OutboundSequenceHigh = 2, Sequence = 8, SequenceHigh = 1 }, 0xff, 0, 0, 0)
            .With(XfrmAttribute.TfcPadding, 1200u)
            .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 0x9411, DestinationPort = 0x9511 })
            .WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "aes", Request.Key(16))
            .WithAlgorithm(XfrmAttribute.AlgorithmAuthenticationTruncated, "sha256", Request.Key(32, 50), 128)
            .With(XfrmAttribute.LifetimeValue, new XfrmLifetimeCurrent { Bytes = 11, Packets = 12, AddTime = 13, UseTime = 14 })
            .WithBytes(XfrmAttribute.CareOfAddress, Request.Key(16, 70))
            .With(XfrmAttribute.SaExtraFlags, 1u));

        var answer = Parsed.All(service.Expect(Request.SaId(XfrmMessage.GetSa, flags: Netlink.Request)))[0];
        var attributes = answer.Attributes(SaHeader);

        Assert.Equal((ushort)XfrmMessage.NewSa, answer.Type);
        Assert.Equal(
            [
                XfrmAttribute.SaExtraFlags, XfrmAttribute.CareOfAddress, XfrmAttribute.AlgorithmAuthentication,
                XfrmAttribute.AlgorithmAuthenticationTruncated, XfrmAttribute.AlgorithmEncryption, XfrmAttribute.Encapsulation, XfrmAttribute.TfcPadding,
                XfrmAttribute.ReplayEsnValue, XfrmAttribute.MappingTimerThreshold,
            ],
            attributes.Select(attribute => (XfrmAttribute)attribute.Type));
        var values = attributes.ToDictionary(attribute => (XfrmAttribute)attribute.Type, attribute => attribute.Value);
        Assert.Equal(Request.Key(16, 70), values[XfrmAttribute.CareOfAddress]);
        Assert.Equal("hmac(sha256)", Name(values[XfrmAttribute.AlgorithmAuthentication]));
        Assert.Equal(256u, BitConverter.ToUInt32(values[XfrmAttribute.AlgorithmAuthentication], 64));
        Assert.Equal(Request.Key(32, 50), values[XfrmAttribute.AlgorithmAuthentication][68..]);
        Assert.Equal(128u, BitConverter.ToUInt32(values[XfrmAttribute.AlgorithmAuthenticationTruncated], 68));
        Assert.Equal(Request.Key(32, 50), values[XfrmAttribute.AlgorithmAuthenticationTruncated][72..]);
        Assert.Equal("cbc(aes)", Name(values[XfrmAttribute.AlgorithmEncryption]));
        Assert.Equal(Request.Key(16), values[XfrmAttribute.AlgorithmEncryption][68..]);
        Assert.Equal([4, 3, 8, 2, 1, 100, 0xff, 0, 0, 0], Words(values[XfrmAttribute.ReplayEsnValue]));
        var info = answer.Body<XfrmUserSaInfo>();
        Assert.Equal((7u, 9u, (byte)0), (info.ReqId, info.Sequence, info.ReplayWindow));
        Assert.Equal((11ul, 12ul, 13ul, 14ul), (info.Current.Bytes, info.Current.Packets, info.Current.AddTime, info.Current.UseTime));
    }

    [Fact]
    public void GetSa_GivenBackAsNewSa_IsTheSameSa()
    {
        // What charon does when an address changes: GETSA, DELSA, NEWSA with everything that GETSA said.
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 128)
            .WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 2, ReplayWindow = 64, Sequence = 70, OutboundSequence = 5 }, 0x3f, 0xffff0000)
            .With(XfrmAttribute.LifetimeValue, new XfrmLifetimeCurrent { Bytes = 1, Packets = 2, AddTime = 3, UseTime = 4 }));
        service.Database.Sad.Find(Id())!.Usage.LastUsed = 77;
        byte[] first = service.Expect(Request.SaId(XfrmMessage.GetSa, flags: Netlink.Request));

        service.Expect(Request.SaId(XfrmMessage.DeleteSa));
        byte[] again = [.. first];
        BitConverter.TryWriteBytes(again.AsSpan(6), (ushort)Request.Ack);
        byte[] lifetime = Attribute(XfrmAttribute.LifetimeValue, new XfrmLifetimeCurrent { Bytes = 1, Packets = 2, AddTime = 3, UseTime = 4 });
        again = [.. again, .. lifetime];
        service.Expect(again.WithLength());
        byte[] second = service.Expect(Request.SaId(XfrmMessage.GetSa, flags: Netlink.Request));

        // LASTUSED is the kernel's own: a new SA was not used yet.
        Assert.Equal(
            Parsed.All(first)[0].Attributes(SaHeader).Where(a => a.Type != (ushort)XfrmAttribute.LastUsed).Select(a => Convert.ToHexString(a.Value)),
            Parsed.All(second)[0].Attributes(SaHeader).Select(a => Convert.ToHexString(a.Value)));
        Assert.Equal(Parsed.All(first)[0].Payload[..SaHeader], Parsed.All(second)[0].Payload[..SaHeader]);
    }

    [Fact]
    public void NewSa_LegacyWindow_IsCutTo32AndRestored()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReplayWindow = 200)
            .With(XfrmAttribute.ReplayValue, new XfrmReplayState { OutboundSequence = 4, Sequence = 40, Bitmap = 0x5 }));

        var sa = service.Database.Sad.Find(Id())!;
        Assert.Equal(32, sa.ReplayWindowSize);
        Assert.Equal(40ul, sa.Replay!.Highest);
        Assert.Equal(ReplayVerdict.Replayed, sa.Replay.Check(38, out _));
        Assert.Equal(ReplayVerdict.Acceptable, sa.Replay.Check(39, out _));
        var answer = Parsed.All(service.Expect(Request.SaId(XfrmMessage.GetSa, flags: Netlink.Request)))[0];
        Assert.Equal(32, answer.Body<XfrmUserSaInfo>().ReplayWindow);
        Assert.Equal([4, 40, 5], Words(answer.Attributes(SaHeader).Single(a => a.Type == (ushort)XfrmAttribute.ReplayValue).Value));
    }

    [Fact]
    public void NewSa_SelectorFamily_FollowsTheFlag()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(spi: 0x1000));
        service.Expect(Request.NewSa(spi: 0x1001, change: (ref XfrmUserSaInfo info) => info.Flags = 32));
        service.Expect(Request.NewSa(spi: 0x1002, change: (ref XfrmUserSaInfo info) => Request.FillSelector(ref info.Selector, "2001:db8::/32", "::/0")));

        service.Expect(Request.NewSa(spi: 0x1003, change: (ref XfrmUserSaInfo info) => info.Selector.Protocol = 6));

        // Shown with the outer header's family, as the kernel does, but without a restriction.
        Assert.Equal(IpVersion.None, service.Database.Sad.Find(Id())!.Selector.Version);
        Assert.Equal(2, Parsed.All(service.Expect(Request.SaId(XfrmMessage.GetSa, flags: Netlink.Request)))[0].Body<XfrmUserSaInfo>().Selector.Family);
        Assert.Equal(0, Parsed.All(service.Expect(Request.SaId(XfrmMessage.GetSa, spi: 0x1001, flags: Netlink.Request)))[0].Body<XfrmUserSaInfo>().Selector.Family);
        Assert.Equal(IpVersion.IPv4, service.Database.Sad.Find(Id(0x1003))!.Selector.Version);
        Assert.Equal(IpVersion.None, service.Database.Sad.Find(Id(0x1001))!.Selector.Version);
        Assert.Equal(IpVersion.IPv6, service.Database.Sad.Find(Id(0x1002))!.Selector.Version);
    }

    // docs/xfrm-control.md, "Other differences from the kernel": the kernel shows them, and holds them against what comes in.
    [Fact]
    public void NewSa_PrefixesWithoutFamily_RestrictNothing()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) =>
        {
            Request.FillSelector(ref info.Selector, "10.1.0.0/16", "10.2.0.0/16");
            (info.Selector.Family, info.Selector.DestinationPrefixLength, info.Flags) = (XfrmValue.FamilyUnspecified, 200, (byte)SaFlags.AfUnspec);
        }));

        Assert.Equal(IpVersion.None, service.Database.Sad.Find(Id())!.Selector.Version);
        var shown = Parsed.All(service.Expect(Request.SaId(XfrmMessage.GetSa, flags: Netlink.Request)))[0].Body<XfrmUserSaInfo>().Selector;
        Assert.Equal((0, 0, 0), (shown.Family, shown.SourcePrefixLength, shown.DestinationPrefixLength));
    }

    [Fact]
    public void NewSa_Twice_ExistsAndKeepsTheFirst()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReqId = 1));

        Assert.Equal(LinuxError.Exists, service.ExpectError(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReqId = 2)).Errno);
        Assert.Equal(1u, Assert.Single(service.Database.Sad.All).ReqId);
        Assert.Empty(service.Notifications);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void NewSa_AnswersAnAcquire_RemovesItsLarvalSa(bool bySequence)
    {
        using var service = new ServiceHarness();
        var larval = new SecurityAssociation
        {
            Id = new SaIdentity(default, InternetAddress.Parse("192.0.2.2")),
            Source = InternetAddress.Parse(bySequence ? "192.0.2.99" : "192.0.2.1"),
            ReqId = 7,
            KeyManagerSequence = 42,
        };
        using (service.Database.Freeze())
        {
            service.Database.Sad.TryAdd(larval);
        }

        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) =>
        {
            info.ReqId = 7;
            info.Sequence = bySequence ? 42u : 0;
        }));

        Assert.Equal(SaState.Valid, Assert.Single(service.Database.Sad.All).State);
        Assert.Equal(SaState.Dead, larval.State);
    }

    [Fact]
    public void NewSa_OutboundWithReplayWindowWhereDirectionsAreUnknown_IsAnSaWithoutDirection()
    {
        using var service = new ServiceHarness(options: new XfrmOptions { KnowsDirections = false });
        byte[] window = Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 128)
            .WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, new uint[4]).WithBytes(XfrmAttribute.SaDirection, XfrmValue.DirectionOut);

        service.Expect(window);

        Assert.Equal(0, Assert.Single(service.Database.Sad.All).SaDirection);
        using var since610 = new ServiceHarness();
        Assert.Equal("Replay window should be 0 for output SA", since610.ExpectError(window).Text);
    }

    [Fact]
    public void Admission_Refusing_IsAnsweredWithItsReason()
    {
        using var service = new ServiceHarness();
        service.Database.Admission = _ => "UDP port 4500 is taken";
        service.Expect(Request.AllocSpi(0x1000, 0x1000));

        var error = service.ExpectError(Request.NewSa(type: XfrmMessage.UpdateSa));

        Assert.Equal("UDP port 4500 is taken", error.Text);
        Assert.Equal(SaState.Larval, Assert.Single(service.Database.Sad.All).State);
    }

    [Fact]
    public void DeleteSa_Notifies_WithKeysAndZeroesThem()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa());
        var sa = service.Database.Sad.Find(Id())!;

        service.Expect(Request.SaId(XfrmMessage.DeleteSa));

        var (group, message) = Assert.Single(service.Notifications);
        var deleted = Parsed.All(message)[0];
        Assert.Equal(XfrmGroup.Sa, group);
        Assert.Equal((ushort)XfrmMessage.DeleteSa, deleted.Type);
        var attributes = deleted.Attributes(24);
        Assert.Equal([XfrmAttribute.Sa, XfrmAttribute.AlgorithmAead, XfrmAttribute.ReplayValue], attributes.Select(a => (XfrmAttribute)a.Type));
        Assert.Equal(Request.Key(20), attributes[1].Value[72..]);
        Assert.All(sa.Algorithms[0].Key, octet => Assert.Equal(0, octet));
    }

    [Fact]
    public void Zero_Marks_AreAccepted()
    {
        using var service = new ServiceHarness();

        service.Expect(Request.NewSa().WithBytes(XfrmAttribute.Mark, new byte[40]).With(XfrmAttribute.InterfaceId, 0u)
            .With(XfrmAttribute.SetMark, 0u).With(XfrmAttribute.SetMarkMask, 0u));

        Assert.Equal(1, service.Database.Sad.Count);
    }

    private static byte[] Attribute<T>(XfrmAttribute type, T value)
        where T : unmanaged => Request.Bare(XfrmMessage.NewSa).With(type, value).Bytes()[16..];

    private static string Name(byte[] algorithm) => Encoding.ASCII.GetString(algorithm.AsSpan(0, 64)).TrimEnd('\0');

    private static uint[] Words(byte[] bytes) => [.. Enumerable.Range(0, bytes.Length / 4).Select(i => BitConverter.ToUInt32(bytes, i * 4))];
}
