using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Handlers;

/// <summary>
/// A dump in progress: the entries that were there when it began, newest first as in the kernel. What is removed meanwhile is left out,
/// what is replaced is shown as it is then. Control thread only.
/// </summary>
internal abstract class XfrmDump(uint sequence, uint portId) : PagedAnswer(sequence, portId)
{
    private bool _done;

    /// <summary>
    /// Writes the next datagram: as many messages as fit in <see cref="XfrmContext.MaximumDatagram"/>; after the last of them, in a datagram of its
    /// own, NLMSG_DONE.
    /// </summary>
    public override void WritePart(NetlinkWriter writer)
    {
        while (!_done)
        {
            int start = writer.Length;
            writer.Begin(MessageType, Netlink.Multi, Sequence, PortId);
            if (WriteCurrent(writer))
            {
                writer.End();
                if (start > 0 && writer.Length > XfrmContext.MaximumDatagram)
                {
                    writer.StepBack();
                    return;
                }
            }
            else
            {
                writer.Cancel();
            }

            _done = !MoveNext();
        }

        if (writer.Length == 0)
        {
            Finish(writer, XfrmError.None);
        }
    }

    /// <summary>The type of each message.</summary>
    protected abstract XfrmMessage MessageType { get; }

    /// <summary>Writes the current entry's message after its header; false if there is none (any more), or it does not match.</summary>
    protected abstract bool WriteCurrent(NetlinkWriter writer);

    /// <summary>Goes to the next entry; false at the end.</summary>
    protected abstract bool MoveNext();
}

/// <summary>A dump that fails at once: the error stands in NLMSG_DONE, as in the kernel.</summary>
internal static class FailedDump
{
    public static void Reply(XfrmContext context, in XfrmRequest request, XfrmError error)
    {
        NetlinkAnswers.Done(context.Writer, request.Header.Sequence, request.Header.PortId, error);
        context.Reply(request);
    }
}
