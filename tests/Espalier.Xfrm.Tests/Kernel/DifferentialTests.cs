using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using static Espalier.Xfrm.Tests.Kernel.Comparison;

namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>
/// The same request bytes to the running kernel's XFRM and to ours: answers and notifications must be the same bytes, apart from times, port ids,
/// and the description of a length's rule (NLMSGERR_ATTR_POLICY). The kernel at hand has no ESP, so it refuses every valid NEWSA; those are
/// compared up to that point, and elsewhere.
/// </summary>
public sealed class DifferentialTests
{
    private const int Get = Netlink.Request;
    private const int DumpFlags = Netlink.Request | Netlink.Dump;

    [Fact]
    public void Policies_AddGetUpdateDeleteDump_AreAnsweredAlike() => Compare(
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()),
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()),
        Request.NewPolicy(direction: 0, priority: 7).With(XfrmAttribute.Template, Request.Template("192.0.2.2", "192.0.2.1")),
        Request.NewPolicy(direction: 2, priority: 9).With(XfrmAttribute.Template, Request.Template("192.0.2.2", "192.0.2.1", 0)),
        Request.NewPolicy("2001:db8:1::/48", "2001:db8:2::/48").With(XfrmAttribute.Template, Request.Template("2001:db8::1", "2001:db8::2")),
        Request.NewPolicy("10.9.0.0/16", "10.8.0.7/32", change: (ref XfrmUserPolicyInfo info) =>
        {
            info.Selector.Protocol = 17;
            info.Selector.DestinationPort = XfrmConversions.Swap((ushort)53);
            info.Selector.DestinationPortMask = 0xffff;
            info.Action = 1;
            info.Flags = 1;
            info.Share = 2;
            info.Limits.HardAddExpiresSeconds = 3600;
            info.Limits.SoftByteLimit = 1234;
        }),
        Request.PolicyId(XfrmMessage.GetPolicy, flags: Get),
        Request.PolicyId(XfrmMessage.GetPolicy, flags: Request.Ack),
        Request.PolicyId(XfrmMessage.GetPolicy, direction: 0, flags: Get),
        Request.PolicyId(XfrmMessage.GetPolicy, index: 1, flags: Get),
        Request.PolicyId(XfrmMessage.GetPolicy, index: 9, flags: Get),
        Request.PolicyId(XfrmMessage.GetPolicy, index: 8, direction: 0, flags: Get),
        Request.PolicyId(XfrmMessage.GetPolicy, index: 77, flags: Get),
        Request.PolicyId(XfrmMessage.GetPolicy, direction: 3, flags: Get),
        Request.Bare(XfrmMessage.GetPolicy, DumpFlags),
        Request.NewPolicy(type: XfrmMessage.UpdatePolicy, priority: 5).With(XfrmAttribute.Template, Request.Template(reqId: 9)),
        Request.NewPolicy("10.7.0.0/16", type: XfrmMessage.UpdatePolicy, priority: 5).With(XfrmAttribute.Template, Request.Template(reqId: 9)),
        Request.NewPolicy(type: XfrmMessage.UpdatePolicy, change: (ref XfrmUserPolicyInfo info) => info.Action = 1),
        Request.Of(XfrmMessage.GetSpdInfo, (ref uint flags) => flags = uint.MaxValue, Get),
        Request.PolicyId(XfrmMessage.DeletePolicy),
        Request.PolicyId(XfrmMessage.DeletePolicy),
        Request.PolicyId(XfrmMessage.DeletePolicy, index: 8, direction: 0),
        Request.PolicyId(XfrmMessage.DeletePolicy, index: 9, direction: 0),
        Request.PolicyId(XfrmMessage.DeletePolicy, direction: 2, flags: Get),
        Request.Bare(XfrmMessage.GetPolicy, DumpFlags),
        Request.Bare(XfrmMessage.FlushPolicy),
        Request.Bare(XfrmMessage.FlushPolicy),
        Request.Bare(XfrmMessage.GetPolicy, DumpFlags));

    [Fact]
    public void Policies_WithWishesForAnIndex_AreAnsweredAlike() => Compare(
        Request.NewPolicy(change: (ref XfrmUserPolicyInfo info) => info.Index = 0x801),
        Request.NewPolicy("10.5.0.0/16", change: (ref XfrmUserPolicyInfo info) => info.Index = 0x801),
        Request.NewPolicy("10.6.0.0/16", change: (ref XfrmUserPolicyInfo info) => info.Index = 0x800),
        Request.NewPolicy("10.6.0.0/16", direction: 0),
        Request.NewPolicy("10.6.0.0/16", direction: 2),
        Request.Bare(XfrmMessage.GetPolicy, DumpFlags));

    [Fact]
    public void Policies_Refused_AreAnsweredAlike() => Compare(
        Request.NewPolicy(change: (ref XfrmUserPolicyInfo info) => info.Share = 4),
        Request.NewPolicy(change: (ref XfrmUserPolicyInfo info) => info.Action = 2),
        Request.NewPolicy(change: (ref XfrmUserPolicyInfo info) => info.Selector.Family = 0),
        Request.NewPolicy(change: (ref XfrmUserPolicyInfo info) => info.Selector.Family = 5),
        Request.NewPolicy(change: (ref XfrmUserPolicyInfo info) => info.Selector.SourcePrefixLength = 33),
        Request.NewPolicy("::/0", "::/0", change: (ref XfrmUserPolicyInfo info) => info.Selector.DestinationPrefixLength = 129),
        Request.NewPolicy(direction: 3),
        Request.NewPolicy().WithBytes(XfrmAttribute.PolicyType, 9, 0, 0, 0, 0, 0),
        Request.NewPolicy().WithBytes(XfrmAttribute.PolicyType, 9, 0, 0),
        Request.NewPolicy().WithBytes(XfrmAttribute.Template, new byte[63]),
        Request.NewPolicy().WithBytes(XfrmAttribute.Mark, new byte[7]),
        Request.NewPolicy().WithBytes(XfrmAttribute.InterfaceId, 0, 0),
        Request.NewPolicy().WithBytes(XfrmAttribute.SecurityContext, 20, 0, 0, 0, 0, 0, 0, 0),
        Request.NewPolicy().WithBytes(XfrmAttribute.SaDirection, 1),
        Request.NewPolicy().WithBytes(XfrmAttribute.SaDirection, 3),
        Request.NewPolicy().WithBytes(XfrmAttribute.SaDirection, 1, 1),
        Request.NewPolicy().WithBytes(XfrmAttribute.SaPerCpu, 0, 0, 0, 0),
        Request.NewPolicy().WithBytes(XfrmAttribute.SaPerCpu, 0, 0, 0),
        Request.NewPolicy().WithBytes(XfrmAttribute.IptfsDontFragment, 1),
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template(change: (ref XfrmUserTemplate template) => template.Mode = 6)),
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template(change: (ref XfrmUserTemplate template) => template.Optional = 1)),
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template(change: (ref XfrmUserTemplate template) => template.Family = 7)),
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template(change: (ref XfrmUserTemplate template) => template.Id.Protocol = 6)),
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template(change: (ref XfrmUserTemplate template) => template.Id.Protocol = 0)),
        Request.NewPolicy().With(
            XfrmAttribute.Template,
            Request.Template("2001:db8::1", "2001:db8::2", change: (ref XfrmUserTemplate template) => template.Mode = XfrmValue.ModeTransport)),
        Request.NewPolicy().WithBytes(XfrmAttribute.Template, new byte[7 * 64]),
        Request.WithPayload(XfrmMessage.NewPolicy, 167),
        Request.WithPayload(XfrmMessage.DeletePolicy, 10),
        Request.PolicyId(XfrmMessage.DeletePolicy, direction: 9),
        Request.PolicyId(XfrmMessage.DeletePolicy).With(XfrmAttribute.Mark, new XfrmMark { Value = 1, Mask = 1 }),
        Request.Bare(XfrmMessage.FlushPolicy).WithBytes(XfrmAttribute.PolicyType, 7, 0, 0, 0, 0, 0),
        Request.Bare(XfrmMessage.GetPolicy, DumpFlags));

    [Fact]
    public void Policies_WithTolerableAttributes_AreAnsweredAlike() => Compare(
        Request.NewPolicy("10.1.0.0/16").With(XfrmAttribute.Mark, default(XfrmMark)),
        Request.NewPolicy("10.2.0.0/16").WithBytes(XfrmAttribute.Mark, new byte[24]),
        Request.NewPolicy("10.3.0.0/16").With(XfrmAttribute.InterfaceId, 0u),
        Request.NewPolicy("10.4.0.0/16").WithBytes((XfrmAttribute)99, 1, 2, 3),
        Request.NewPolicy("10.5.0.0/16").WithBytes(XfrmAttribute.PolicyType, 0, 0, 0, 0, 0, 0),
        Request.NewPolicy("10.6.0.0/16").With(XfrmAttribute.Template, Request.Template(change: (ref XfrmUserTemplate template) => template.Family = 0)),
        Request.NewPolicy("10.7.0.0/16").With(XfrmAttribute.Template, Request.Template("2001:db8::1", "2001:db8::2")),
        Request.NewPolicy("10.8.0.0/16").With(XfrmAttribute.Template, Request.Template("0.0.0.0", "0.0.0.0", 16384, change: (ref XfrmUserTemplate template) =>
        {
            template.Id.Spi = 0x44332211;
            template.Share = 3;
        })),
        Request.PolicyId(XfrmMessage.DeletePolicy, "10.1.0.0/16").WithBytes(XfrmAttribute.Mark, new byte[24]),
        Request.Bare(XfrmMessage.GetPolicy, DumpFlags));

    [Fact]
    public void PolicyExpire_ByUser_IsAnsweredAlike() => Compare(
        Request.NewPolicy(),
        Request.Of(XfrmMessage.PolicyExpire, (ref XfrmUserPolicyExpire expire) =>
        {
            Request.FillSelector(ref expire.Policy.Selector, "10.1.0.0/16", "10.2.0.0/16");
            expire.Policy.Direction = 1;
        }),
        Request.Of(XfrmMessage.PolicyExpire, (ref XfrmUserPolicyExpire expire) =>
        {
            expire.Policy.Index = 1;
            expire.Policy.Direction = 1;
            expire.Hard = 1;
        }),
        Request.Of(XfrmMessage.PolicyExpire, (ref XfrmUserPolicyExpire expire) =>
        {
            expire.Policy.Index = 1;
            expire.Policy.Direction = 1;
            expire.Hard = 1;
        }),
        Request.Of(XfrmMessage.PolicyExpire, (ref XfrmUserPolicyExpire expire) => expire.Policy.Direction = 5));

    [Fact]
    public void Defaults_SetAndGet_AreAnsweredAlike() => Compare(
        Request.Of(XfrmMessage.GetDefault, (ref XfrmUserPolicyDefault _) => { }, Get),
        Request.Of(XfrmMessage.SetDefault, (ref XfrmUserPolicyDefault value) => (value.In, value.Forward, value.Out) = (1, 2, 1)),
        Request.Of(XfrmMessage.SetDefault, (ref XfrmUserPolicyDefault value) => (value.In, value.Forward, value.Out) = (0, 1, 7)),
        Request.Of(XfrmMessage.GetDefault, (ref XfrmUserPolicyDefault _) => { }),
        Request.WithPayload(XfrmMessage.SetDefault, 2),
        Request.WithPayload(XfrmMessage.GetDefault, 0));

    [Fact]
    public void Information_Asked_IsAnsweredAlike() => Compare(
        Request.Of(XfrmMessage.GetSadInfo, (ref uint flags) => flags = 7, Get),
        Request.Of(XfrmMessage.GetSpdInfo, (ref uint flags) => flags = 7, Get),
        Request.Of(XfrmMessage.NewSpdInfo, (ref uint _) => { }).WithBytes((XfrmAttribute)XfrmSpdAttribute.IPv4HashThreshold, 16, 24),
        Request.Of(XfrmMessage.NewSpdInfo, (ref uint _) => { }).WithBytes((XfrmAttribute)XfrmSpdAttribute.IPv6HashThreshold, 64, 56),
        Request.Of(XfrmMessage.NewSpdInfo, (ref uint _) => { }).WithBytes((XfrmAttribute)XfrmSpdAttribute.IPv6HashThreshold, 64),
        Request.Of(XfrmMessage.NewSpdInfo, (ref uint _) => { }).WithBytes((XfrmAttribute)XfrmSpdAttribute.IPv4HashThreshold, 33, 3),
        Request.Of(XfrmMessage.NewSpdInfo, (ref uint _) => { }).WithBytes((XfrmAttribute)XfrmSpdAttribute.IPv6HashThreshold, 3, 129),
        Request.Of(XfrmMessage.GetSpdInfo, (ref uint _) => { }),
        Request.WithPayload(XfrmMessage.GetSadInfo, 3),
        Request.WithPayload(XfrmMessage.NewSpdInfo, 3));

    [Fact]
    public void SpiAllocation_OfEveryKind_IsAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000),
        Request.AllocSpi(0x1001, 0x1001, flags: Request.Ack),
        Request.AllocSpi(0x2000, 0x2000, "2001:db8::1", "2001:db8::2"),
        Request.AllocSpi(0x3000, 0x3000, change: (ref XfrmUserSpiInfo info) =>
        {
            info.Info.ReqId = 5;
            info.Info.Mode = XfrmValue.ModeTransport;
            info.Info.Flags = 32;
            info.Info.ReplayWindow = 7;
        }),
        Request.AllocSpi(0x3001, 0x3001).WithBytes(XfrmAttribute.SaDirection, 1),
        Request.AllocSpi(0x3002, 0x3001),
        Request.AllocSpi(0x3003, 0x3003, change: (ref XfrmUserSpiInfo info) => info.Info.Id.Protocol = 6),
        Request.AllocSpi(0x3003, 0x13003, change: (ref XfrmUserSpiInfo info) => info.Info.Id.Protocol = XfrmValue.ProtocolIpComp),
        Request.AllocSpi(0x4000, 0x4000, change: (ref XfrmUserSpiInfo info) => info.Info.Sequence = 99),
        Request.WithPayload(XfrmMessage.AllocateSpi, 231),
        Request.SaId(XfrmMessage.GetSa, flags: Get),
        Request.SaId(XfrmMessage.GetSa, spi: 0x3001, flags: Get),
        Request.SaId(XfrmMessage.GetSa, "2001:db8::2", 0x2000, Get),
        Request.Of(XfrmMessage.GetSadInfo, (ref uint flags) => flags = 7, Get),
        Request.Bare(XfrmMessage.GetSa, DumpFlags),
        Request.SaId(XfrmMessage.DeleteSa),
        Request.SaId(XfrmMessage.DeleteSa),
        Request.SaId(XfrmMessage.DeleteSa, spi: 0x1001).WithBytes(XfrmAttribute.Mark, new byte[28]),
        Request.SaId(XfrmMessage.DeleteSa, "2001:db8::2", 0x2000, Get),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 51),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 255),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 255),
        Request.Bare(XfrmMessage.GetSa, DumpFlags));

    // Afterwards the kernel keeps a larval SA without SPI for 30 s, Espalier none.
    [Fact]
    public void SpiAllocation_OfTakenSpi_IsAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000),
        Request.AllocSpi(0x1000, 0x1000),
        Request.AllocSpi(0x1000, 0x1000, "192.0.2.9"),
        Request.AllocSpi(0x1001, 0x1001));

    [Fact]
    public void Dumps_WithFilters_AreAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000, "10.1.1.1", "10.2.1.1"),
        Request.AllocSpi(0x1001, 0x1001, "10.1.2.1", "10.2.1.1"),
        Request.AllocSpi(0x1002, 0x1002, "10.1.2.1", "10.3.1.1"),
        Request.AllocSpi(0x1003, 0x1003, "2001:db8::1", "2001:db8::2"),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("10.1.2.0", 24, "0.0.0.0", 0, 2)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("10.1.2.0", 24, "10.2.1.1", 32, 2)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("10.0.0.0", 8, "0.0.0.0", 0, 0)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("::", 0, "2001:db8::2", 128, 10)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("::", 0, "::", 0, 10)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).With(XfrmAttribute.AddressFilter, Filter("::", 129, "::", 0, 10)),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).WithBytes(XfrmAttribute.AddressFilter, new byte[11]),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).WithBytes(XfrmAttribute.Protocol, 50),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).WithBytes(XfrmAttribute.Protocol, 51),
        Request.Bare(XfrmMessage.GetSa, DumpFlags).WithBytes(XfrmAttribute.Protocol, 255),
        Request.SaId(XfrmMessage.GetSa, flags: DumpFlags),
        Request.Bare(XfrmMessage.GetSa, DumpFlags | Netlink.Acknowledge));

    [Fact]
    public void LarvalSas_ChangedAndExpired_AreAnsweredAlike() => Compare(
        Request.AllocSpi(0x1000, 0x1000),
        Request.Of(XfrmMessage.Expire, (ref XfrmUserExpire expire) => Request.FillSa(ref expire.State, "192.0.2.1", "192.0.2.2", 0x1000)),
        Request.Of(XfrmMessage.Expire, (ref XfrmUserExpire expire) => Request.FillSa(ref expire.State, "192.0.2.1", "192.0.2.2", 0x1001)),
        Ae(XfrmMessage.GetAsyncEvent, 0x1000, 2, Get),
        Ae(XfrmMessage.GetAsyncEvent, 0x1001, 2, Get),
        Ae(XfrmMessage.NewAsyncEvent, 0x1000, 0, Request.Ack),
        Ae(XfrmMessage.NewAsyncEvent, 0x1000, 0, Request.Ack).With(XfrmAttribute.ReplayValue, default(XfrmReplayState)),
        Ae(XfrmMessage.NewAsyncEvent, 0x1000, 0, Request.Ack | Netlink.Replace).With(XfrmAttribute.ReplayValue, default(XfrmReplayState)),
        Ae(XfrmMessage.NewAsyncEvent, 0x1001, 0, Request.Ack | Netlink.Replace).With(XfrmAttribute.ReplayValue, default(XfrmReplayState)),
        Ae(XfrmMessage.NewAsyncEvent, 0x1001, 0, Request.Ack | Netlink.Replace).WithBytes(XfrmAttribute.ReplayValue, new byte[8]),
        Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 50));

    [Fact]
    public void Associations_Refused_AreAnsweredAlike() => Compare(
        Request.SaId(XfrmMessage.GetSa, flags: Get),
        Request.SaId(XfrmMessage.GetSa, protocol: 6, flags: Get),
        Request.SaId(XfrmMessage.GetSa, protocol: 51, flags: Get),
        Request.SaId(XfrmMessage.DeleteSa, protocol: 60),
        Request.SaId(XfrmMessage.DeleteSa, protocol: 60).WithBytes(XfrmAttribute.SourceAddress, new byte[16]),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Family = 0),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Selector.Family = 9),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Selector.SourcePrefixLength = 33),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => (info.Selector.Family, info.Selector.DestinationPrefixLength) = (10, 129)),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Id.Protocol = 6),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Id.Protocol = XfrmValue.ProtocolAh),
        Request.NewSa(aead: false),
        Request.NewSa().WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "cbc(aes)", Request.Key(16)),
        Request.NewSa().WithAlgorithm(XfrmAttribute.AlgorithmCompression, "deflate", []),
        Request.NewSa(aead: false).WithAlgorithm(XfrmAttribute.AlgorithmAead, "rfc4106(gcm(aes))", Request.Key(20), 128, keyBits: 168),
        Request.NewSa(aead: false).WithAlgorithm(XfrmAttribute.AlgorithmEncryption, "cbc(aes)", Request.Key(16), keyBits: 136),
        Request.NewSa(aead: false).WithAlgorithm(XfrmAttribute.AlgorithmAuthenticationTruncated, "hmac(sha1)", Request.Key(20), 96, keyBits: 1 << 30),
        Request.NewSa(aead: false).WithBytes(XfrmAttribute.AlgorithmAead, new byte[71]),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 6),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 3),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 0).With(XfrmAttribute.TfcPadding, 1000u),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 5),
        Request.NewSa().WithBytes(XfrmAttribute.IptfsDropTime, 1, 0, 0, 0),
        Request.NewSa().With(XfrmAttribute.MappingTimerThreshold, 5u),
        Request.NewSa().With(XfrmAttribute.SaPerCpu, 0u),
        Request.WithPayload(XfrmMessage.NewSa, 223));

    [Fact]
    public void Associations_WithWrongReplayState_AreAnsweredAlike() => Compare(
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 128),
        Request.NewSa().WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 129 }, new uint[129]),
        Request.NewSa().WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 4, ReplayWindow = 128 }, 0, 0, 0),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReplayWindow = 32).WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 1, ReplayWindow = 32 }, 0),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 1, ReplayWindow = 32 }, 0),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { SequenceHigh = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { OutboundSequenceHigh = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { OutboundSequence = uint.MaxValue }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).WithReplayEsn(new XfrmReplayStateEsn { BitmapLength = 1 }, 0),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 128).WithBytes(XfrmAttribute.SaDirection, 2)
            .WithReplayEsn(new XfrmReplayStateEsn { OutboundSequence = uint.MaxValue, OutboundSequenceHigh = uint.MaxValue }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).WithReplayEsn(new XfrmReplayStateEsn { OutboundSequence = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).WithReplayEsn(new XfrmReplayStateEsn { SequenceHigh = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).WithReplayEsn(new XfrmReplayStateEsn { Sequence = uint.MaxValue }),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 128).WithBytes(XfrmAttribute.SaDirection, 1)
            .WithReplayEsn(new XfrmReplayStateEsn { Sequence = uint.MaxValue, SequenceHigh = uint.MaxValue }),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 2).WithBytes(XfrmAttribute.SaDirection, 2),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 16).WithBytes(XfrmAttribute.SaDirection, 2),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 8).WithBytes(XfrmAttribute.SaDirection, 2),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Flags = 4).WithBytes(XfrmAttribute.SaDirection, 1),
        Request.NewSa(change: (ref XfrmUserSaInfo info) => info.ReplayWindow = 1).WithBytes(XfrmAttribute.SaDirection, 2),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).With(XfrmAttribute.ReplayValue, new XfrmReplayState { Bitmap = 1 }),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).With(XfrmAttribute.SaExtraFlags, 1u),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 1).With(XfrmAttribute.SaExtraFlags, 2u),
        Request.NewSa().WithBytes(XfrmAttribute.SaDirection, 2).With(XfrmAttribute.Encapsulation, new XfrmEncapsulationTemplate { Type = 2 })
            .With(XfrmAttribute.MappingTimerThreshold, 5u));

    [Fact]
    public void Migrate_OfPolicies_IsAnsweredAlike() => Compare(
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()),
        Request.PolicyId(XfrmMessage.Migrate),
        Request.PolicyId(XfrmMessage.Migrate).WithBytes(XfrmAttribute.Migrate, new byte[75]),
        Request.PolicyId(XfrmMessage.Migrate).WithBytes(XfrmAttribute.Migrate, new byte[79]),
        Request.PolicyId(XfrmMessage.Migrate).With(XfrmAttribute.Migrate, Migrate("0.0.0.0", "192.0.2.4")),
        Request.PolicyId(XfrmMessage.Migrate).WithBytes(
            XfrmAttribute.Migrate, [.. Bytes(Migrate("192.0.2.3", "192.0.2.4")), .. Bytes(Migrate("192.0.2.3", "192.0.2.4"))]),
        Request.PolicyId(XfrmMessage.Migrate, direction: 4).With(XfrmAttribute.Migrate, Migrate("192.0.2.3", "192.0.2.4")),
        Request.PolicyId(XfrmMessage.Migrate, "10.99.0.0/16").With(XfrmAttribute.Migrate, Migrate("192.0.2.3", "192.0.2.4")),
        Request.PolicyId(XfrmMessage.Migrate).With(XfrmAttribute.Migrate, Migrate("192.0.2.3", "192.0.2.4", reqId: 77)),
        Request.PolicyId(XfrmMessage.Migrate).With(XfrmAttribute.Migrate, Migrate("192.0.2.3", "192.0.2.4")),
        Request.PolicyId(XfrmMessage.GetPolicy, flags: Get),
        Request.PolicyId(XfrmMessage.Migrate).With(XfrmAttribute.Migrate, Migrate("192.0.2.3", "192.0.2.4")));

    [Fact]
    public void Netlink_OddDatagrams_AreAnsweredAlike() => Compare(
        [],
        new byte[15],
        Request.Bare((XfrmMessage)0x29),
        Request.Bare((XfrmMessage)0x60, Get),
        Request.Bare(XfrmMessage.Report),
        Request.WithPayload(XfrmMessage.Report, 60),
        Request.WithPayload(XfrmMessage.Mapping, 100),
        Request.Bare(XfrmMessage.NewSadInfo),
        Request.Bare((XfrmMessage)7),
        Request.Bare((XfrmMessage)7, Get),
        Request.PolicyId(XfrmMessage.GetPolicy, flags: 0),
        Request.PolicyId(XfrmMessage.GetPolicy, flags: Netlink.Acknowledge),
        [.. Request.NewPolicy().Bytes(), .. Request.PolicyId(XfrmMessage.GetPolicy, flags: Get).Bytes(), .. Request.PolicyId(XfrmMessage.DeletePolicy).Bytes()],
        [.. Request.PolicyId(XfrmMessage.GetPolicy, flags: Get).Bytes(), 1, 2, 3],
        Truncated(Request.PolicyId(XfrmMessage.GetPolicy), 2),
        Length(Request.PolicyId(XfrmMessage.GetPolicy), 15),
        Length(Request.PolicyId(XfrmMessage.GetPolicy), 4000));

    private static byte[] Truncated(byte[] message, int by) => message[..^by];

    private static byte[] Length(byte[] message, int length)
    {
        BitConverter.TryWriteBytes(message, length);
        return message;
    }

    private static Request Ae(XfrmMessage type, uint spi, uint flags, int header) => Request.Of(
        type,
        (ref XfrmAsyncEventId id) =>
        {
            id.Id.DestinationAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse("192.0.2.2"));
            id.Id.Spi = XfrmConversions.Swap(spi);
            id.Id.Family = 2;
            id.Id.Protocol = 50;
            id.Flags = flags;
        },
        header);

    private static XfrmAddressFilter Filter(string source, byte sourceLength, string destination, byte destinationLength, ushort family) => new()
    {
        SourceAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse(source)),
        SourcePrefixLength = sourceLength,
        DestinationAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse(destination)),
        DestinationPrefixLength = destinationLength,
        Family = family,
    };

    private static XfrmUserMigrate Migrate(string newSource, string newDestination, uint reqId = 0) => new()
    {
        OldSourceAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse("192.0.2.1")),
        OldDestinationAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse("192.0.2.2")),
        NewSourceAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse(newSource)),
        NewDestinationAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse(newDestination)),
        OldFamily = 2,
        NewFamily = 2,
        Protocol = 50,
        Mode = 1,
        ReqId = reqId,
    };

    private static byte[] Bytes<T>(T value)
        where T : unmanaged
    {
        byte[] bytes = new byte[Unsafe.SizeOf<T>()];
        MemoryMarshal.Write(bytes, value);
        return bytes;
    }
}
