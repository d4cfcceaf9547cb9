using System.Runtime.CompilerServices;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>What a Linux 6.1 that has ESP answers, as it was seen there: errnos, and the bytes of what tells of an SA.</summary>
public sealed class KernelAnswerTests
{
    private const int SaInfoSize = 224;
    private const int IdAt = 56;
    private const int IdPaddingAt = IdAt + 21;

    [Theory]
    [InlineData("rfc4106(gcm(aes))", 20, 0)]
    [InlineData("rfc4106(gcm(aes))", 20, 32)]
    [InlineData("rfc4106(gcm(aes))", 21, 136)]
    [InlineData("rfc4106(gcm(aes))", 20, 5000)]
    [InlineData("rfc4543(gcm(aes))", 20, 96)]
    [InlineData("rfc4309(ccm(aes))", 19, 104)]
    [InlineData("rfc7539esp(chacha20,poly1305)", 36, 64)]
    public void NewSa_AeadWithIcvThatNoneHas_IsNotImplementedAsByLinux61(string name, int keyLength, uint icvBits)
    {
        using var service = new ServiceHarness();

        var error = service.ExpectError(Request.NewSa(aead: false).WithAlgorithm(XfrmAttribute.AlgorithmAead, name, Request.Key(keyLength), icvBits));

        Assert.Equal(LinuxError.NotImplemented, error.Errno);
        Assert.Contains($"{name} takes an ICV of", error.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(8)]
    public void NewSa_EncapsulationThatIsNone_IsInvalidAsByLinux61(ushort type)
    {
        using var service = new ServiceHarness();

        var error = service.ExpectError(Request.NewSa()
            .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = type, SourcePort = 1, DestinationPort = 1 }));

        Assert.Equal((LinuxError.Invalid, "Unsupported encapsulation type for ESP"), (error.Errno, error.Text));
    }

    [Theory]
    [InlineData(255, LinuxError.NoProcess)]
    [InlineData(51, LinuxError.NoProcess)]
    [InlineData(0, LinuxError.Invalid)]
    [InlineData(43, LinuxError.Invalid)]
    public void GetSa_OfOtherProtocol_HasLinux61sErrno(byte protocol, int errno)
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa());

        Assert.Equal(errno, service.ExpectError(Request.SaId(XfrmMessage.GetSa, protocol: protocol)).Errno);
        Assert.Equal(errno, service.ExpectError(Request.SaId(XfrmMessage.DeleteSa, protocol: protocol)).Errno);
    }

    [Fact]
    public void Expire_OfLarvalSa_ShowsTheSelectorThatLinux61Shows()
    {
        var clock = new ManualClock();
        using var service = new ServiceHarness(clock);
        service.Expect(Request.AllocSpi(0x1000, 0x1000));
        clock.Advance(TimeSpan.FromSeconds(30));

        service.Service.Events.RunDue();

        var expire = Parsed.All(Assert.Single(service.Notifications).Message)[0];
        Assert.Equal((ushort)XfrmMessage.Expire, expire.Type);
        Assert.Equal(
            "C0000202000000000000000000000000" + "C0000201000000000000000000000000" + "0000000000000000" + "0000" + "2020" + "00000000" + "0000000000000000",
            Convert.ToHexString(expire.Payload.AsSpan(0, IdAt)));
    }

    [Fact]
    public void EveryMessageAboutAnSa_HasZeroPaddingInItsId()
    {
        using var service = new ServiceHarness(options: new XfrmOptions { ExpireUnknown = true });
        var messages = new List<(int At, byte[] Payload)>();
        Tell(Request.AllocSpi(0x1000, 0x1000), 0);
        Tell(Request.NewSa(type: XfrmMessage.UpdateSa), 0);
        Tell(Request.SaId(XfrmMessage.GetSa), 0);
        Tell(Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump), 0);
        Tell(Request.Of(XfrmMessage.Expire, (ref XfrmUserExpire expire) => Request.FillSa(ref expire.State, "192.0.2.1", "192.0.2.2", 0x1000)), 0);
        Tell(Request.SaId(XfrmMessage.DeleteSa), Unsafe.SizeOf<XfrmUserSaId>() + 4);
        Tell(Request.SaId(XfrmMessage.GetSa), 0);

        Assert.Equal(7, messages.Count);
        Assert.All(messages, message => Assert.Equal("000000", Convert.ToHexString(message.Payload, message.At + IdPaddingAt, 3)));

        void Tell(byte[] request, int at)
        {
            DirtyStack();
            var answers = service.Handle(request);
            var told = Parsed.All(answers.Concat(service.Notifications.Select(notification => notification.Message)));
            messages.AddRange(told.Where(message => message.Payload.Length >= at + SaInfoSize && message.Type != Netlink.Error)
                .Select(message => (at, message.Payload)));
        }
    }

    [Fact]
    public void Migrate_OnFromWhereAnEntryBeforeMovedIt_EndsWhereLinux61sDoes()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReqId = 1));
        service.Expect(Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()));
        XfrmUserMigrate[] entries = [Entry("192.0.2.1", "192.0.2.3"), Entry("192.0.2.3", "192.0.2.4")];

        service.Expect(Request.PolicyId(XfrmMessage.Migrate)
            .WithBytes(XfrmAttribute.Migrate, System.Runtime.InteropServices.MemoryMarshal.AsBytes(entries.AsSpan()).ToArray()));

        var moved = Assert.Single(service.Database.Sad.All);
        Assert.Equal(InternetAddress.Parse("192.0.2.4"), moved.Source);
        Assert.Equal(Request.Key(20), moved.Algorithms[0].Key);
        Assert.Equal(InternetAddress.Parse("192.0.2.4"), Assert.Single(service.Database.Spd.Policies).Templates[0].Source);
    }

    [Theory]
    [InlineData(1, 0u)]
    [InlineData(0, 1u)]
    public void Migrate_OfPolicyWithAnInterfaceOrUser_FindsNoneAsLinux61(int interfaceIndex, uint user)
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()));

        var error = service.ExpectError(Request
            .PolicyId(XfrmMessage.Migrate, change: (ref XfrmUserPolicyId id) => (id.Selector.InterfaceIndex, id.Selector.User) = (interfaceIndex, user))
            .With(XfrmAttribute.Migrate, Entry("192.0.2.1", "192.0.2.3")));

        Assert.Equal(LinuxError.NoEntry, error.Errno);
    }

    private static XfrmUserMigrate Entry(string from, string to) => new()
    {
        OldSourceAddress = XfrmConversions.FromAddress(InternetAddress.Parse(from)),
        OldDestinationAddress = XfrmConversions.FromAddress(InternetAddress.Parse("192.0.2.2")),
        NewSourceAddress = XfrmConversions.FromAddress(InternetAddress.Parse(to)),
        NewDestinationAddress = XfrmConversions.FromAddress(InternetAddress.Parse("192.0.2.2")),
        OldFamily = 2,
        NewFamily = 2,
        Protocol = 50,
        Mode = 1,
        ReqId = 1,
    };

    // What is not zeroed where a message is made then shows.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void DirtyStack()
    {
        Span<byte> stack = stackalloc byte[64 * 1024];
        stack.Fill(0xa5);
        GC.KeepAlive(stack.IndexOf((byte)0));
    }
}
