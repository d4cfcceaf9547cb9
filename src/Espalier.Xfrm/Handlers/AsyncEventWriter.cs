using Espalier.Ipsec.Sad;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>Writes NEWAE: replay state and lifetime of an SA.</summary>
internal static class AsyncEventWriter
{
    /// <summary>Writes NEWAE as build_aevent. Workers frozen.</summary>
    public static void Write(NetlinkWriter writer, SecurityAssociation sa, uint flags, uint sequence, uint portId)
    {
        writer.Begin(XfrmMessage.NewAsyncEvent, 0, sequence, portId);
        ref var id = ref writer.Reserve<XfrmAsyncEventId>();
        SaWriter.FillId(ref id.Id, sa);
        id.SourceAddress = XfrmConversions.FromAddress(sa.Source);
        id.Flags = flags;
        id.ReqId = sa.ReqId;
        SaWriter.WriteReplayState(writer, sa);
        XfrmConversions.FromUsage(sa.Usage, ref writer.ReserveAttribute<XfrmLifetimeCurrent>(XfrmAttribute.LifetimeValue));
        if ((flags & XfrmValue.AeReplayThreshold) != 0)
        {
            writer.Attribute(XfrmAttribute.ReplayThreshold, sa.ReplayMaxDifference);
        }

        if ((flags & XfrmValue.AeTimerThreshold) != 0)
        {
            writer.Attribute(XfrmAttribute.EventTimerThreshold, sa.ReplayMaxAge);
        }

        if (sa.SaDirection != 0)
        {
            writer.Attribute(XfrmAttribute.SaDirection, sa.SaDirection);
        }

        writer.End();
    }
}
