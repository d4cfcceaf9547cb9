using System.Text;
using Espalier.Testing;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Tests.Kernel;

/// <summary>
/// The same request bytes to the running kernel's XFRM and to ours: answers and notifications must be the same bytes, apart from times, port ids,
/// and the description of a length's rule (NLMSGERR_ATTR_POLICY).
/// </summary>
internal static class Comparison
{
    /// <summary>Flags of a request that asks for one thing.</summary>
    public const int Get = Netlink.Request;

    /// <summary>Flags of a request that asks for all.</summary>
    public const int DumpFlags = Netlink.Request | Netlink.Dump;

    /// <summary>Sends each request to a kernel in a namespace of its own and to a service of ours; fails where they differ.</summary>
    public static void Compare(params byte[][] requests)
    {
        using var kernel = new KernelOracle();
        Compare(kernel.Ask, texts: true, requests);
    }

    /// <summary>As above, with what a kernel answered elsewhere; without <paramref name="texts"/> of errors the errno alone counts, for an old kernel has fewer.</summary>
    public static void Compare(Func<byte[], (List<byte[]> Answers, List<byte[]> Notifications)> kernel, bool texts, params IEnumerable<byte[]> requests)
    {
        // Another time than the kernel's: one that is not left out below is seen always, not only where a second begins in between.
        using var ours = new ServiceHarness(new ManualClock());
        var expected = new StringBuilder();
        var actual = new StringBuilder();
        foreach (var (i, request) in requests.Index())
        {
            string title = $"request {i}, type 0x{(request.Length > 5 ? BitConverter.ToUInt16(request, 4) : 0):x}";
            var (answers, notifications) = request.Length == 0 ? ([], []) : kernel(request);
            expected.AppendLine(Describe(title, answers, notifications, texts));
            byte[][] ourAnswers = ours.Handle(request);
            actual.AppendLine(Describe(title, ourAnswers, ours.Notifications.Select(notification => notification.Message), texts));
        }

        Assert.Equal(expected.ToString(), actual.ToString());
    }

    private static string Describe(string title, IEnumerable<byte[]> answers, IEnumerable<byte[]> notifications, bool texts)
    {
        var text = new StringBuilder(title).AppendLine();
        foreach (var message in Parsed.All(answers))
        {
            text.Append("  answer ").AppendLine(Describe(message, texts));
        }

        foreach (var message in Parsed.All(notifications))
        {
            text.Append("  event  ").AppendLine(Describe(message, texts));
        }

        return text.ToString();
    }

    private static string Describe(Parsed message, bool texts)
    {
        byte[] payload = (byte[])message.Payload.Clone();
        int flags = message.Flags;
        if (message.Type == Netlink.Error)
        {
            if (!texts)
            {
                return $"error {message.Errno} flags {flags & ~Netlink.AckAttributes:x}";
            }

            // The quoted request holds the port id, which the kernel puts there; the rule of a length is left out.
            var attributes = message.ErrorAttributes().Where(attribute => (attribute.Type & Netlink.AttributeTypeMask) != 4);
            return $"error {message.Errno} flags {flags:x} {string.Join(' ', attributes.Select(a => a.Type == 1 ? $"'{Encoding.UTF8.GetString(a.Value).TrimEnd('\0')}'" : $"{a.Type}:{Convert.ToHexString(a.Value)}"))}";
        }

        if (message.Type == Netlink.Done)
        {
            var attributes = message.Attributes(4).Where(attribute => (attribute.Type & Netlink.AttributeTypeMask) != 4);
            return $"done {message.Errno} flags {flags:x} {string.Join(' ', attributes.Select(a => $"{a.Type}:{Convert.ToHexString(a.Value)}"))}";
        }

        ClearTimes((XfrmMessage)message.Type, payload);
        return $"type {message.Type:x} flags {flags:x} seq {message.Sequence} {Convert.ToHexString(payload)}";
    }

    private static void ClearTimes(XfrmMessage type, byte[] payload)
    {
        const int saTimes = 56 + 24 + 16 + 64 + 16;
        const int policyTimes = 56 + 64 + 16;
        const int asyncEvent = 24 + 16 + 4 + 4;
        switch (type)
        {
            case XfrmMessage.NewSa or XfrmMessage.UpdateSa or XfrmMessage.Expire:
                payload.AsSpan(saTimes, 16).Clear();
                break;
            case XfrmMessage.DeleteSa:
                payload.AsSpan(24 + 4 + saTimes, 16).Clear();
                break;
            case XfrmMessage.NewPolicy or XfrmMessage.UpdatePolicy or XfrmMessage.PolicyExpire:
                payload.AsSpan(policyTimes, 16).Clear();
                break;
            case XfrmMessage.DeletePolicy:
                payload.AsSpan(64 + 4 + policyTimes, 16).Clear();
                break;
            case XfrmMessage.NewAsyncEvent:
                ClearLifetime(payload, asyncEvent);
                break;
        }
    }

    /// <summary>Clears the times within XFRMA_LTIME_VAL, wherever among the attributes it stands.</summary>
    private static void ClearLifetime(byte[] payload, int fixedLength)
    {
        const int lifetimeTimes = 4 + 16;
        for (int at = fixedLength; at + lifetimeTimes <= payload.Length; at += (BitConverter.ToUInt16(payload, at) + 3) & ~3)
        {
            if (BitConverter.ToUInt16(payload, at + 2) == (ushort)XfrmAttribute.LifetimeValue)
            {
                payload.AsSpan(at + lifetimeTimes, 16).Clear();
                return;
            }
        }
    }
}
