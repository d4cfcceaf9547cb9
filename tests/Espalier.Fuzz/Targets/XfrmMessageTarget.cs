using System.Runtime.CompilerServices;
using Espalier.Testing;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;
using Espalier.Xfrm.Tests;

namespace Espalier.Fuzz.Targets;

/// <summary>
/// A datagram to the XFRM control protocol: each of its messages is handled as the control server does it, with three SAs and two policies there.
/// Answers and notifications are well-formed netlink and their lengths add up; a message that is refused changes neither SAD nor SPD.
/// </summary>
internal sealed class XfrmMessageTarget : FuzzTarget
{
    private const int MostMessages = 8;

    public override string Name => "xfrm-message";

    public override IEnumerable<byte[]> Seeds() => RequestSamples.All();

    public override void Run(ReadOnlySpan<byte> input)
    {
        using var service = new ServiceHarness(new ManualClock());
        try
        {
            RequestSamples.Fill(service);
            byte[] before = RequestSamples.State(service);
            var reader = new NetlinkMessageReader(input);
            for (int i = 0; i < MostMessages && reader.MoveNext(); i++)
            {
                byte[] after = Handle(service, reader.Message.ToArray(), reader.Header, before);
                before = after;
            }

            // The walk over several messages is the service's own.
            byte[] whole = input.ToArray();
            Check(service.Handle(whole), null);
            Invariant.Same(input, whole, "The request was changed");
        }
        finally
        {
            Clear(service);
        }
    }

    private static byte[] Handle(ServiceHarness service, byte[] message, NetlinkHeader header, byte[] before)
    {
        var (associations, policies) = Count(service);
        var answers = service.Handle(message);
        Check([.. answers, .. service.Notifications.Select(notification => notification.Message)], null);
        var parsed = Check(answers, header.Sequence);
        bool refused = parsed.Exists(answer => answer.Type == Netlink.Error && answer.Errno != 0);
        Invariant.Holds(parsed.Count(answer => answer.Type == Netlink.Error) <= 1, "More than one acknowledgement.");
        byte[] after = RequestSamples.State(service);
        if (refused)
        {
            Invariant.Holds((associations, policies) == Count(service), "A message that was refused changed the number of SAs or policies.");
            Invariant.Same(before, after, "A message that was refused changed something");
        }

        return after;
    }

    private static (int Associations, int Policies) Count(ServiceHarness service) =>
        (service.Database.Sad.All.Count(), service.Database.Spd.Policies.Count());

    private static List<Parsed> Check(byte[][] datagrams, uint? sequence)
    {
        var all = new List<Parsed>();
        foreach (byte[] datagram in datagrams)
        {
            int length = 0;
            foreach (var answer in Parsed.All(datagram))
            {
                length += NetlinkHeader.Size + Netlink.Align(answer.Payload.Length);
                Invariant.Holds(sequence is null || answer.Sequence == sequence, "An answer has another sequence number than its request.");
                CheckAttributes(answer);
                all.Add(answer);
            }

            Invariant.Holds(length == Netlink.Align(datagram.Length) && length > 0, "The lengths of the messages do not add up to the datagram's.");
        }

        return all;
    }

    // What walks over the attributes throws where they do not fit.
    private static void CheckAttributes(Parsed answer)
    {
        if (answer.Type == Netlink.Error)
        {
            Invariant.Holds(answer.Errno is >= 0 and < 4096, "An errno is none.");
            answer.ErrorAttributes();
            return;
        }

        int header = (XfrmMessage)answer.Type switch
        {
            XfrmMessage.NewSa => Unsafe.SizeOf<XfrmUserSaInfo>(),
            XfrmMessage.NewPolicy => Unsafe.SizeOf<XfrmUserPolicyInfo>(),
            XfrmMessage.Expire => Unsafe.SizeOf<XfrmUserExpire>(),
            XfrmMessage.NewAsyncEvent => Unsafe.SizeOf<XfrmAsyncEventId>(),
            _ => -1,
        };
        if (header >= 0)
        {
            Invariant.Holds(answer.Payload.Length >= header, "An answer is shorter than its fixed part.");
            answer.Attributes(header);
        }
    }

    private static void Clear(ServiceHarness service)
    {
        using var frozen = service.Database.Freeze();
        foreach (var association in service.Database.Sad.All.ToArray())
        {
            service.Database.Sad.Remove(association);
        }
    }
}
