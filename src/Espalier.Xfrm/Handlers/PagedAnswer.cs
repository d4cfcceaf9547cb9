using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Handlers;

/// <summary>An answer of many datagrams that is made as fast as the client reads, so that it takes no memory. Control thread only.</summary>
internal abstract class PagedAnswer
{
    /// <summary>True when NLMSG_DONE has been written.</summary>
    public bool Finished { get; protected set; }

    /// <summary>Writes the next datagram. Workers frozen.</summary>
    public abstract void WritePart(NetlinkWriter writer);
}
