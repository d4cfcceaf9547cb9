using Espalier.Xfrm.Messages;
using static Espalier.Xfrm.Tests.Kernel.Comparison;

namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>Questions about the databases, and datagrams that are no request: the kernel and Espalier answer alike (see <see cref="Comparison"/>).</summary>
public sealed class MessageDifferentialTests
{
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
}
