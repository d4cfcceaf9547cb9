using System.Runtime.InteropServices;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>One request whose header length and attributes were checked. Its bytes are the receive buffer's.</summary>
internal readonly ref struct XfrmRequest
{
    /// <summary>The whole message.</summary>
    public required ReadOnlySpan<byte> Message { get; init; }

    /// <summary>Its header.</summary>
    public required NetlinkHeader Header { get; init; }

    /// <summary>Its attributes.</summary>
    public required XfrmAttributes Attributes { get; init; }

    /// <summary>Who asks.</summary>
    public required IXfrmPeer Peer { get; init; }

    /// <summary>The type.</summary>
    public XfrmMessage Type => (XfrmMessage)Header.Type;

    /// <summary>Reads the struct that follows the header.</summary>
    public T Body<T>()
        where T : unmanaged => MemoryMarshal.Read<T>(Message[NetlinkHeader.Size..]);

    /// <summary>True where the mark is other than value 0 and mask 0, which is what Espalier's SAs and policies have.</summary>
    public bool HasMark
    {
        get
        {
            if (!Attributes.Has(XfrmAttribute.Mark))
            {
                return false;
            }

            var mark = Attributes.Read<XfrmMark>(XfrmAttribute.Mark);
            return (mark.Value | mark.Mask) != 0;
        }
    }

    /// <summary>True where an interface id other than 0 is named.</summary>
    public bool HasInterfaceId => Attributes.ReadUInt32(XfrmAttribute.InterfaceId, 0) != 0;
}

/// <summary>Whoever sent a request: takes the answers. All calls on the control thread.</summary>
internal interface IXfrmPeer
{
    /// <summary>True while a dump is being sent; a second one is refused with EBUSY, as the kernel does.</summary>
    bool DumpInProgress { get; }

    /// <summary>Queues a copy of one datagram.</summary>
    void Reply(ReadOnlySpan<byte> datagram);

    /// <summary>Starts sending a dump, part by part, as fast as the peer reads.</summary>
    void StartDump(PagedAnswer dump);
}

/// <summary>Where notifications go. All calls on the control thread.</summary>
internal interface IXfrmListeners
{
    /// <summary>True where somebody has subscribed to the group.</summary>
    bool Has(XfrmGroup group);

    /// <summary>Queues a copy of one datagram for every subscriber.</summary>
    void Publish(XfrmGroup group, ReadOnlySpan<byte> datagram);
}
