using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using static Espalier.Xfrm.Tests.Kernel.Comparison;

namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>Requests about policies: the kernel and Espalier answer alike (see <see cref="Comparison"/>).</summary>
public sealed class PolicyDifferentialTests
{
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
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template(change: (ref XfrmUserTemplate template) => template.Id.Protocol = 255)),
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
    public void Policies_WithOutputMarks_AreAnsweredAlike() => Compare(
        Request.NewPolicy().With(XfrmAttribute.SetMark, 1u).With(XfrmAttribute.SetMarkMask, 3u),
        Request.NewPolicy("10.3.0.0/16").With(XfrmAttribute.SetMarkMask, 3u),
        Request.NewPolicy(type: XfrmMessage.UpdatePolicy).With(XfrmAttribute.SetMark, 2u),
        Request.Bare(XfrmMessage.GetPolicy, DumpFlags));

    [Fact]
    public void SubPolicies_OfWhichThereAreNone_AreAnsweredAlike() => Compare(
        Request.NewPolicy().With(XfrmAttribute.Template, Request.Template()),
        Sub(Request.PolicyId(XfrmMessage.GetPolicy, flags: Get)),
        Sub(Request.PolicyId(XfrmMessage.GetPolicy, index: 1, flags: Get)),
        Sub(Request.PolicyId(XfrmMessage.DeletePolicy)),
        Sub(Request.PolicyId(XfrmMessage.DeletePolicy, index: 1)),
        Sub(Request.PolicyId(XfrmMessage.DeletePolicy, direction: 9)),
        Sub(Request.Of(XfrmMessage.PolicyExpire, (ref XfrmUserPolicyExpire expire) => (expire.Policy.Index, expire.Policy.Direction, expire.Hard) = (1, 1, 1))),
        Sub(Request.PolicyId(XfrmMessage.Migrate).With(XfrmAttribute.Migrate, Migrate("192.0.2.3", "192.0.2.4"))),
        Sub(Request.Bare(XfrmMessage.FlushPolicy)),
        Sub(Request.Bare(XfrmMessage.GetPolicy, DumpFlags)),
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

    private static Request Sub(Request request) => request.WithBytes(XfrmAttribute.PolicyType, XfrmValue.PolicyTypeSub, 0, 0, 0, 0, 0);

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
