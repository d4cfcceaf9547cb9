using System.Runtime.InteropServices;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>MIGRATE of SAs, which the kernel at hand cannot show, because it has no ESP.</summary>
public sealed class MigrateTests
{
    private static SaIdentity Id(uint spi = 0x1000, string destination = "192.0.2.2") => new(new Spi(spi), InternetAddress.Parse(destination));

    [Fact]
    public void Migrate_MovesSasAndPolicy_KeepingCountersAndKeys()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => (info.ReqId, info.ReplayWindow) = (1, 32)));
        service.Expect(Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()));
        var old = service.Database.Sad.Find(Id())!;
        old.OutboundSequence = 77;
        old.Usage.Packets = 5;
        old.Replay!.Commit(9);

        service.Expect(Request.PolicyId(XfrmMessage.Migrate, change: (ref XfrmUserPolicyId id) => id.Selector.Protocol = 255)
            .With(XfrmAttribute.Migrate, Migration(reqId: 1))
            .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 0x9411, DestinationPort = 0x9411 }));

        var moved = Assert.Single(service.Database.Sad.All);
        Assert.Equal(Id(0x1000, "198.51.100.2"), moved.Id);
        Assert.Equal(InternetAddress.Parse("198.51.100.1"), moved.Source);
        Assert.Equal((77ul, 5ul, 9ul), (moved.OutboundSequence, moved.Usage.Packets, moved.Replay!.Highest));
        Assert.Equal(4500, moved.Encapsulation!.Value.SourcePort);
        Assert.Equal(Request.Key(20), moved.Algorithms[0].Key);
        Assert.Equal(SaState.Dead, old.State);
        var policy = Assert.Single(service.Database.Spd.Policies);
        Assert.Equal(1u, policy.Index);
        Assert.Equal(InternetAddress.Parse("198.51.100.2"), policy.Templates[0].Destination);
        Assert.Equal(XfrmGroup.Migrate, Assert.Single(service.Notifications).Group);
    }

    [Fact]
    public void Migrate_OntoATakenIdentity_ChangesNothing()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReqId = 1));
        service.Expect(Request.NewSa(destination: "198.51.100.2"));
        service.Expect(Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()));

        Assert.Equal(LinuxError.NoData, service.ExpectError(Request.PolicyId(XfrmMessage.Migrate).With(XfrmAttribute.Migrate, Migration(reqId: 0))).Errno);
        Assert.Equal(2, service.Database.Sad.Count);
        Assert.Equal(SaState.Valid, service.Database.Sad.Find(Id())!.State);
        Assert.Equal(InternetAddress.Parse("192.0.2.2"), service.Database.Spd.Policies.Single().Templates[0].Destination);
    }

    // The kernel writes the unknown family into the template, and the policy protects nothing any more.
    [Fact]
    public void Migrate_OfATemplateToAnUnknownFamily_LeavesItWhereTheEntryBeforePutIt()
    {
        using var service = new ServiceHarness();
        service.Expect(Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()));
        var unknown = Migration(reqId: 1);
        (unknown.OldSourceAddress, unknown.OldDestinationAddress, unknown.NewFamily) = (unknown.NewSourceAddress, unknown.NewDestinationAddress, 77);
        XfrmUserMigrate[] entries = [Migration(reqId: 1), unknown];

        service.Expect(Request.PolicyId(XfrmMessage.Migrate).WithBytes(XfrmAttribute.Migrate, MemoryMarshal.AsBytes<XfrmUserMigrate>(entries).ToArray()));

        Assert.Equal(InternetAddress.Parse("198.51.100.2"), Assert.Single(service.Database.Spd.Policies).Templates[0].Destination);
        Assert.Equal(LinuxError.NoData, service.ExpectError(Request.PolicyId(XfrmMessage.Migrate).With(XfrmAttribute.Migrate, unknown)).Errno);
    }

    /// <summary>From 192.0.2.1 and 192.0.2.2 to 198.51.100.1 and 198.51.100.2.</summary>
    private static XfrmUserMigrate Migration(uint reqId) => new()
    {
        OldSourceAddress = XfrmConversions.FromAddress(InternetAddress.Parse("192.0.2.1")),
        OldDestinationAddress = XfrmConversions.FromAddress(InternetAddress.Parse("192.0.2.2")),
        NewSourceAddress = XfrmConversions.FromAddress(InternetAddress.Parse("198.51.100.1")),
        NewDestinationAddress = XfrmConversions.FromAddress(InternetAddress.Parse("198.51.100.2")),
        OldFamily = 2,
        NewFamily = 2,
        Protocol = 50,
        Mode = 1,
        ReqId = reqId,
    };
}
