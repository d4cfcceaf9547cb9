using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests.Handlers;

/// <summary>The flags by which IKE daemons ask for ICMP errors of any router (charon: children.icmp = yes).</summary>
public sealed class IcmpFlagTests
{
    [Fact]
    public void NewSa_WithFlagIcmp_HasItAndTellsIt()
    {
        using var service = new ServiceHarness();

        service.Expect(Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 16));

        Assert.Equal(SaFlags.Icmp, service.Database.Sad.Find(new SaIdentity(new Spi(0x1000), InternetAddress.Parse("192.0.2.2")))!.Flags);
        var told = Parsed.All(service.Expect(Request.SaId(XfrmMessage.GetSa, flags: Netlink.Request)))[0].Body<XfrmUserSaInfo>();
        Assert.Equal(16, told.Flags);
    }

    [Fact]
    public void NewPolicy_WithFlagIcmp_HasItAndTellsIt()
    {
        using var service = new ServiceHarness();

        service.Expect(Request.NewPolicy(change: (ref XfrmUserPolicyInfo info) => info.Flags = 2).With(XfrmAttribute.Template, Request.Template()));

        Assert.True(Assert.Single(service.Database.Spd.Policies).AdmitsIcmpErrors);
        var told = Parsed.All(service.Expect(Request.PolicyId(XfrmMessage.GetPolicy, flags: Netlink.Request)))[0].Body<XfrmUserPolicyInfo>();
        Assert.Equal(2, told.Flags);
    }
}
