using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Tests;

/// <summary>Requests of every kind, and the SAD and SPD that they are about: what chance starts from.</summary>
internal static class RequestSamples
{
    /// <summary>The requests.</summary>
    public static byte[][] All() =>
    [
        Request.NewSa(spi: 0x2000),
        Request.NewSa(spi: 0x1002, type: XfrmMessage.UpdateSa),
        Request.NewSa(spi: 0x1000, type: XfrmMessage.UpdateSa),
        Request.NewSa(spi: 0x2001, aead: false, change: (ref XfrmUserSaInfo info) => info.Flags = 128)
            .WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "cbc(aes)", Request.Key(16))
            .WithAlgorithm(XfrmAttribute.AlgorithmAuthenticationTruncated, "hmac(sha256)", Request.Key(32), 128)
            .WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0, 0)
            .With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2, SourcePort = 1, DestinationPort = 2 })
            .With(XfrmAttribute.TfcPadding, 100u),
        Request.SaId(XfrmMessage.DeleteSa),
        Request.SaId(XfrmMessage.GetSa),
        Request.AllocSpi(0x3000, 0x3fff),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 51),
        Request.NewPolicy("10.9.0.0/16").With(XfrmAttribute.Template, Request.Template()),
        Request.NewPolicy(type: XfrmMessage.UpdatePolicy).With(XfrmAttribute.Template, Request.Template(reqId: 2)),
        Request.PolicyId(XfrmMessage.DeletePolicy),
        Request.PolicyId(XfrmMessage.GetPolicy),
        Request.PolicyId(XfrmMessage.Migrate).WithBytes(XfrmAttribute.Migrate, new byte[76]),
        Request.Of(XfrmMessage.Expire, (ref XfrmUserExpire expire) => Request.FillSa(ref expire.State, "192.0.2.1", "192.0.2.2", 0x1001)),
        Request.Of(XfrmMessage.PolicyExpire, (ref XfrmUserPolicyExpire expire) => expire.Policy.Index = 1),
        Request.Of(XfrmMessage.NewAsyncEvent, (ref XfrmAsyncEventId id) => id.Id.Family = 2, Request.Ack | Netlink.Replace)
            .WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0, 0),
        Request.Of(XfrmMessage.GetAsyncEvent, (ref XfrmAsyncEventId id) => id.Id.Family = 2),
        Request.Of(XfrmMessage.SetDefault, (ref XfrmUserPolicyDefault value) => value.In = 3),
        Request.Of(XfrmMessage.GetSpdInfo, (ref uint _) => { }),
        Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump).WithBytes(XfrmAttribute.AddressFilter, new byte[36]),
        [.. Request.SaId(XfrmMessage.GetSa).Bytes(), .. Request.PolicyId(XfrmMessage.GetPolicy).Bytes()],
    ];

    /// <summary>Three SAs, one of them larval, and two policies.</summary>
    public static void Fill(ServiceHarness service)
    {
        service.Expect(Request.NewSa(spi: 0x1000));
        service.Expect(Request.NewSa(spi: 0x1001).WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0, 0));
        service.Expect(Request.AllocSpi(0x1002, 0x1002));
        service.Expect(Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()));
        service.Expect(Request.NewPolicy(direction: 0).With(XfrmAttribute.Template, Request.Template("192.0.2.2", "192.0.2.1")));
    }

    /// <summary>All SAs and policies, as they are dumped.</summary>
    public static byte[] State(ServiceHarness service)
    {
        var all = new List<byte>();
        foreach (byte[] request in (byte[][])[Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump), Request.Bare(XfrmMessage.GetPolicy, Netlink.Request | Netlink.Dump)])
        {
            foreach (byte[] reply in service.Handle(request))
            {
                all.AddRange(reply);
            }
        }

        return [.. all];
    }
}
