using Espalier.Io.Batches;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>A bounded queue of packets in one array, as a kernel's queue is: a full one drops and counts. Allocates nothing after its creation.</summary>
internal sealed class TestPacketQueue(int capacity, int slotSize = 10_240)
{
    private readonly byte[] _bytes = new byte[capacity * slotSize];
    private readonly PacketSlot[] _slots = new PacketSlot[capacity];
    private int _head;

    public int Count { get; private set; }

    public long Dropped { get; private set; }

    public bool Enqueue(ReadOnlySpan<byte> packet, in PacketSlot about)
    {
        if (Count == capacity)
        {
            Dropped++;
            return false;
        }

        int index = (_head + Count++) % capacity;
        int kept = Math.Min(packet.Length, slotSize);
        packet[..kept].CopyTo(_bytes.AsSpan(index * slotSize));
        _slots[index] = about with { Length = kept };
        return true;
    }

    /// <summary>Fills a batch as a device does: each packet at its slot's headroom, or in a row where the batch has a spacing.</summary>
    public int Receive(PacketBatch batch)
    {
        batch.Clear();
        int room = batch.SlotSize - batch.Headroom;
        while (batch.Count < batch.Capacity && Count > 0)
        {
            ref var waiting = ref _slots[_head];
            int i = batch.Count;
            int length = Math.Min(waiting.Length, room);
            _bytes.AsSpan(_head * slotSize, length).CopyTo(batch.Buffer.AsSpan(batch.NextOffset(length)));
            batch.Append(length, waiting.Truncated || length < waiting.Length);
            batch[i] = waiting with { Offset = batch[i].Offset, Length = length, Truncated = batch[i].Truncated, InRow = batch[i].InRow };
            _head = (_head + 1) % capacity;
            Count--;
        }

        return batch.Count;
    }

    public byte[] Dequeue(out PacketSlot about)
    {
        about = _slots[_head];
        byte[] packet = _bytes.AsSpan(_head * slotSize, about.Length).ToArray();
        _head = (_head + 1) % capacity;
        Count--;
        return packet;
    }
}
