using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Handlers;

/// <summary>An answer of many datagrams that is made as fast as the client reads, so that it takes no memory. Control thread only.</summary>
internal abstract class PagedAnswer(uint sequence, uint portId)
{
    /// <summary>True when NLMSG_DONE has been written.</summary>
    public bool Finished { get; private set; }

    /// <summary>Sequence number of the request.</summary>
    protected uint Sequence => sequence;

    /// <summary>The request's nlmsg_pid.</summary>
    protected uint PortId => portId;

    /// <summary>Writes the next datagram. Workers frozen.</summary>
    public abstract void WritePart(NetlinkWriter writer);

    /// <summary>Writes NLMSG_DONE, with the error that ended the answer.</summary>
    public void Finish(NetlinkWriter writer, XfrmError error)
    {
        NetlinkAnswers.Done(writer, sequence, portId, error);
        Finished = true;
    }
}
