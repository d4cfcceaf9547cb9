using Espalier.Io.Batches;
using Microsoft.Extensions.ObjectPool;

namespace Espalier.DataPlane.Batches;

/// <summary>
/// Makes batches of one size, pinned, each page of them touched, so that resident memory is what it will be under load from the start.
/// </summary>
public sealed class PinnedBatchPolicy(int slots, int slotSize, int headroom, int packetsPerSlot = 1) : PooledObjectPolicy<PacketBatch>
{
    /// <summary>Slots of a batch.</summary>
    public int Slots { get; } = slots;

    /// <summary>Packets that a slot may hold.</summary>
    public int PacketsPerSlot { get; } = packetsPerSlot;

    /// <inheritdoc/>
    public override PacketBatch Create()
    {
        var batch = new PacketBatch(Slots, slotSize, headroom, PacketsPerSlot);

        // A fresh array is backed by the kernel's zero page until it is written.
        for (int i = 0; i < batch.Buffer.Length; i += 4096)
        {
            batch.Buffer[i] = 1;
            batch.Buffer[i] = 0;
        }

        batch.Buffer[^1] = 0;
        return batch;
    }

    /// <summary>Empties a returned batch; false for one that this policy did not make.</summary>
    public override bool Return(PacketBatch obj)
    {
        ArgumentNullException.ThrowIfNull(obj);
        obj.Clear();
        return obj.Capacity == Slots && obj.SlotSize == slotSize && obj.Headroom == headroom && obj.PacketCapacity == Slots * PacketsPerSlot;
    }
}
