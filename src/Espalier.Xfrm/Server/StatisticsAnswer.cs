using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Server;

/// <summary>The answer to STAT: a document in parts, then NLMSG_DONE.</summary>
internal sealed class StatisticsAnswer(ReadOnlyMemory<byte> document, uint sequence, uint portId) : PagedAnswer(sequence, portId)
{
    private const int PartLength = 3072;
    private int _offset;

    /// <inheritdoc/>
    public override void WritePart(NetlinkWriter writer)
    {
        if (_offset < document.Length)
        {
            var part = document.Span[_offset..Math.Min(_offset + PartLength, document.Length)];
            _offset += part.Length;
            writer.Begin(ControlMessage.Statistics, Netlink.Multi, Sequence, PortId);
            writer.Append(part);
            writer.End(Netlink.Align(part.Length) - part.Length);
            return;
        }

        Finish(writer, XfrmError.None);
    }
}
