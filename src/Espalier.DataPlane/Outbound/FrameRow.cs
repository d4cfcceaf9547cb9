using Espalier.Io.Batches;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Outbound;

/// <summary>
/// The room that the TUN's packets get around them, so that their ESP packets lie one right behind the other and go to the kernel as one piece: that of the
/// SAs of the last two batches, where all had the same geometry and none TFC padding. It is a guess, made before a packet's SA is known; packets of another SA
/// are moved to where they have all the room there is.
/// </summary>
internal sealed class FrameRow
{
    private FrameSpacing _batchBefore;
    private FrameSpacing _thisBatch;
    private bool _hasSeen;

    /// <summary>For the next batch.</summary>
    public FrameSpacing Next { get; private set; }

    /// <summary>Packet <paramref name="index"/>, and normally those after it, will be protected by <paramref name="association"/>: gives them the room for that.</summary>
    public void Fit(PacketBatch batch, int index, SecurityAssociation association)
    {
        var spacing = Around(association);
        _thisBatch = _hasSeen && _thisBatch != spacing ? FrameSpacing.None : spacing;
        _hasSeen = true;
        if (batch[index].InRow && batch.Spacing != spacing)
        {
            batch.LeaveRow(index);
        }
    }

    /// <summary>The batch has been handled.</summary>
    public void Settle()
    {
        if (_hasSeen)
        {
            Next = _thisBatch == _batchBefore ? _thisBatch : FrameSpacing.None;
            _batchBefore = _thisBatch;
            _hasSeen = false;
        }
    }

    private static FrameSpacing Around(SecurityAssociation association) =>
        association is { TfcPadding: 0, Transform.Geometry: var geometry }
            ? new FrameSpacing(EspGeometry.HeaderLength + geometry.IvLength, EspGeometry.TrailerLength, geometry.Alignment, geometry.IcvLength)
            : FrameSpacing.None;
}
