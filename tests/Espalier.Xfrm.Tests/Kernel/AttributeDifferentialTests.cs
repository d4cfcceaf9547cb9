using System.Runtime.InteropServices;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using static Espalier.Xfrm.Tests.Kernel.Comparison;

namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>
/// Every attribute on every message, of every length about the one that its type must have, to the running kernel and to us: whether a message that has no use
/// for an attribute refuses it, checks it, or passes it over, is the kernel's way. Of zeroes where something is stored: no mark, no interface id, nothing that only
/// the kernel can do.
/// </summary>
public sealed class AttributeDifferentialTests
{
    /// <summary>The messages, by name.</summary>
    public static TheoryData<string> Names { get; } = [.. Messages().Keys];

    /// <summary>Those of them that store nothing of what their attributes say.</summary>
    public static TheoryData<string> NamesThatStoreNothing { get; } =
        [.. Messages().Keys.Where(name => !name.StartsWith("NEW", StringComparison.Ordinal) && !name.StartsWith("UPD", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(Names))]
    public void Message_WithEachAttributeOfEachLength_IsAnsweredAlike(string name) => Ask(name, 0);

    [Theory]
    [MemberData(nameof(NamesThatStoreNothing))]
    public void Message_WithEachAttributeOfOnes_IsAnsweredAlike(string name) => Ask(name, 1);

    private static void Ask(string name, byte value)
    {
        var requests = new List<byte[]> { Request.NewPolicy(), Request.AllocSpi(0x1000, 0x1000), Request.AllocSpi(0x1001, 0x1001) };
        foreach (int type in Enumerable.Range(0, (int)XfrmAttribute.Last + 3).Where(type => !IsRefused(name, (XfrmAttribute)type)))
        {
            foreach (int length in (int[])[0, 1, 2, 3, 4, 5, 6, 8, 11, 12, 16, 20, 23, 24, 28, 31, 32, 36, 64, 68, 72, 75, 76, 168, 224])
            {
                requests.Add(Messages()[name]().WithBytes((XfrmAttribute)type, Enumerable.Repeat(value, length).ToArray()));
            }

            requests.Add(Messages()[name]().WithBytes((XfrmAttribute)(type | 0x8000), new byte[4]));
            requests.Add(Messages()[name]().WithBytes((XfrmAttribute)(type | 0x4000), new byte[4]));
        }

        Compare([.. requests, Request.Bare(XfrmMessage.GetPolicy, Netlink.Request | Netlink.Dump), Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump)]);
    }

    // Offload of policies, which the kernel passes over only where it is built without; the sub policies that Espalier refuses to make; and algorithms without a name.
    private static bool IsRefused(string name, XfrmAttribute type) => type switch
    {
        XfrmAttribute.OffloadDevice => name is "NEWPOLICY" or "UPDPOLICY",
        XfrmAttribute.AlgorithmAead or XfrmAttribute.AlgorithmAuthentication or XfrmAttribute.AlgorithmAuthenticationTruncated or XfrmAttribute.AlgorithmEncryption =>
            name == "NEWSA without algorithms",
        _ => false,
    };

    private static Dictionary<string, Func<Request>> Messages() => new(StringComparer.Ordinal)
    {
        ["NEWPOLICY"] = () => Request.NewPolicy("10.9.0.0/16"),
        ["UPDPOLICY"] = () => Request.NewPolicy(type: XfrmMessage.UpdatePolicy),
        ["DELPOLICY"] = () => Request.PolicyId(XfrmMessage.DeletePolicy, "10.8.0.0/16"),
        ["GETPOLICY"] = () => Request.PolicyId(XfrmMessage.GetPolicy),
        ["FLUSHPOLICY"] = () => Request.Bare(XfrmMessage.FlushPolicy),
        ["POLEXPIRE"] = () => Request.Of(XfrmMessage.PolicyExpire, (ref XfrmUserPolicyExpire expire) => (expire.Policy.Index, expire.Policy.Direction) = (1, 1)),
        ["DELSA"] = () => Request.SaId(XfrmMessage.DeleteSa, spi: 0x2000),
        ["GETSA"] = () => Request.SaId(XfrmMessage.GetSa),
        ["FLUSHSA"] = () => Request.Of(XfrmMessage.FlushSa, (ref XfrmUserSaFlush flush) => flush.Protocol = 51),
        ["EXPIRE"] = () => Request.Of(XfrmMessage.Expire, (ref XfrmUserExpire expire) => Request.FillSa(ref expire.State, "192.0.2.1", "192.0.2.2", 0x1000)),
        ["NEWAE"] = () => AsyncEvent(XfrmMessage.NewAsyncEvent, Request.Ack | Netlink.Replace),
        ["GETAE"] = () => AsyncEvent(XfrmMessage.GetAsyncEvent, Request.Ack),
        ["GETSA, dump"] = () => Request.Bare(XfrmMessage.GetSa, Netlink.Request | Netlink.Dump),
        ["GETPOLICY, dump"] = () => Request.Bare(XfrmMessage.GetPolicy, Netlink.Request | Netlink.Dump),
        ["MIGRATE"] = () => Request.PolicyId(XfrmMessage.Migrate),
        ["GETSADINFO"] = () => Request.Of(XfrmMessage.GetSadInfo, (ref uint flags) => flags = 1),
        ["GETSPDINFO"] = () => Request.Of(XfrmMessage.GetSpdInfo, (ref uint flags) => flags = 1),
        ["NEWSPDINFO"] = () => Request.Of(XfrmMessage.NewSpdInfo, (ref uint _) => { }),
        ["SETDEFAULT"] = () => Request.Of(XfrmMessage.SetDefault, (ref XfrmUserPolicyDefault _) => { }),
        ["GETDEFAULT"] = () => Request.Of(XfrmMessage.GetDefault, (ref XfrmUserPolicyDefault _) => { }),
        ["NEWSA without algorithms"] = () => Request.NewSa(aead: false),
        ["NEWSA of no mode"] = () => Request.NewSa(change: (ref XfrmUserSaInfo info) => info.Mode = 6),
        ["NEWSA of IPv6 in no family"] = () => Request.NewSa("2001:db8::1", "2001:db8::2", change: (ref XfrmUserSaInfo info) => info.Family = 0),
    };

    private static Request AsyncEvent(XfrmMessage type, int flags) => Request.Of(
        type,
        (ref XfrmAsyncEventId id) =>
        {
            MemoryMarshal.Write(MemoryMarshal.AsBytes(new Span<XfrmUserSaId>(ref id.Id)), new XfrmUserSaId
            {
                DestinationAddress = XfrmConversions.FromAddress(Wire.Addresses.InternetAddress.Parse("192.0.2.2")),
                Spi = XfrmConversions.Swap(0x1000u),
                Family = 2,
                Protocol = 50,
            });
        },
        flags);
}
