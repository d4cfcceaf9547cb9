using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Messages;

/// <summary>NLMSG_ERROR and NLMSG_DONE as the kernel writes them.</summary>
internal static class NetlinkAnswers
{
    /// <summary>
    /// Appends an acknowledgement (error 0) or an error. As netlink_ack: an error quotes the whole request where it fits, an acknowledgement
    /// its header only (NLM_F_CAPPED); the extended acknowledgement follows (NLM_F_ACK_TLVS).
    /// </summary>
    public static void Error(NetlinkWriter writer, ReadOnlySpan<byte> request, in NetlinkHeader header, uint portId, XfrmError error, int room)
    {
        const int fixedPart = NetlinkHeader.Size + sizeof(int) + NetlinkHeader.Size;
        int text = error.Text is null ? 0 : 2 * NetlinkAttributeHeader.Size + Netlink.Align(error.Text.Length * 3 + 1) + sizeof(uint);
        bool whole = error.Failed && fixedPart + Netlink.Align(request.Length - NetlinkHeader.Size) + text <= room;
        bool attributes = error.Text is not null || (error.Failed && error.AttributeOffset != 0);
        writer.Begin(
            Netlink.Error, (whole ? 0 : Netlink.Capped) | (attributes ? Netlink.AckAttributes : 0), header.Sequence, portId);
        writer.Reserve<int>() = -error.Errno;
        writer.Append(whole ? request : request[..NetlinkHeader.Size]);
        WriteAttributes(writer, error);
        writer.End();
    }

    /// <summary>Appends the end of a dump, with the error that ended it.</summary>
    public static void Done(NetlinkWriter writer, uint sequence, uint portId, XfrmError error)
    {
        bool attributes = error.Text is not null || (error.Failed && error.AttributeOffset != 0);
        writer.Begin(Netlink.Done, Netlink.Multi | (attributes ? Netlink.AckAttributes : 0), sequence, portId);
        writer.Reserve<int>() = -error.Errno;
        WriteAttributes(writer, error);
        writer.End();
    }

    private static void WriteAttributes(NetlinkWriter writer, XfrmError error)
    {
        if (error.Text is not null)
        {
            writer.TextAttribute(Netlink.ErrorText, error.Text);
        }

        if (error.Failed && error.AttributeOffset != 0)
        {
            BitConverter.TryWriteBytes(writer.ReserveAttribute(Netlink.ErrorOffset, sizeof(uint)), (uint)error.AttributeOffset);
        }
    }
}
