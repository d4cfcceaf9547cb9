using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Tunnel;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Outbound;

/// <summary>
/// Sixth stage outbound: lays ESP out around the inner packet, in its slot, and writes into the slot what the outer header will need
/// (RFC 4301 §5.1.2). From here on the slot is the ESP packet.
/// </summary>
/// <param name="database">Where notices go.</param>
/// <param name="clock">Time of the batch.</param>
/// <param name="numbersLater">The sequence number is left to <see cref="SpreadStage"/>, and the worker does not own the SA here.</param>
internal sealed class EncapsulationStage(IpsecDatabase database, BatchClock clock, bool numbersLater)
{
    /// <summary>Prepares one packet, or says why not.</summary>
    /// <param name="association">Its SA.</param>
    /// <param name="batch">The batch.</param>
    /// <param name="index">Its slot.</param>
    /// <param name="summary">Its inner header.</param>
    /// <param name="pathMtu">Outer path MTU, which bounds TFC padding.</param>
    /// <param name="mayFragmentOutside">The outer packet may exceed the path MTU, so it must not carry DF.</param>
    /// <param name="frame">Where it lies in the batch's buffer.</param>
    public DropReason Prepare(
        SecurityAssociation association, PacketBatch batch, int index, in PacketSummary summary, int pathMtu, bool mayFragmentOutside,
        out EspFrame frame)
    {
        ref var slot = ref batch[index];
        int start = batch.RoomStart(index, out int length);
        byte nextHeader = summary.Version == IpVersion.IPv6 ? IpProtocol.IPv6 : IpProtocol.IPv4;
        var room = batch.Buffer.AsSpan(start, length);
        int maxPayload = association.TfcPadding == 0 ? 0 : association.InnerMtu(pathMtu);
        IpsecEventKind? notice = null;
        var reason = numbersLater
            ? EspEncapsulation.TryLayOut(association, room, slot.Offset - start, summary.TotalLength, nextHeader, maxPayload, out frame)
            : EspEncapsulation.TryPrepare(
                association, room, slot.Offset - start, summary.TotalLength, nextHeader, maxPayload, clock.UnixSeconds, out frame, out notice);
        if (notice is { } kind)
        {
            database.Events.TryPost(kind, association);
        }

        if (reason != DropReason.None)
        {
            return reason;
        }

        frame.Offset += start;
        slot.Offset = frame.Offset;
        slot.Length = frame.Length;
        slot.Remote = association.Id.Destination;
        slot.Local = association.Source;
        slot.RemotePort = association.Encapsulation?.DestinationPort ?? 0;
        slot.TrafficClass = TunnelHeader.OuterTrafficClass(summary.TrafficClass, association.Flags, association.ExtraFlags);
        slot.DontFragment = !mayFragmentOutside && TunnelHeader.OuterDontFragment(summary.DontFragment, association.Flags);
        return DropReason.None;
    }
}
