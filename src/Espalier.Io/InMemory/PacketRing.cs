using Espalier.Io.Batches;

namespace Espalier.Io.InMemory;

/// <summary>
/// A bounded queue of packets in one buffer that is allocated once. One thread adds while another takes. What does not fit is refused, as
/// the kernel's queues do.
/// </summary>
internal sealed class PacketRing
{
    private readonly byte[] _buffer;
    private readonly PacketSlot[] _slots;
    private readonly int _packetSize;

    // Both only grow; each is written by one side alone. The taker owns _taken, the adder _added.
    private long _added;
    private long _taken;

    internal PacketRing(int capacity, int packetSize)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(packetSize);
        _packetSize = packetSize;
        _buffer = new byte[capacity * packetSize];
        _slots = new PacketSlot[capacity];
    }

    /// <summary>Largest packet it takes.</summary>
    internal int PacketSize => _packetSize;

    /// <summary>Packets in the queue.</summary>
    internal int Count => (int)(Volatile.Read(ref _added) - Volatile.Read(ref _taken));

    /// <summary>Appends a copy of a packet with what <paramref name="description"/> says of it. False: full, or the packet is too large.</summary>
    internal bool TryAdd(ReadOnlySpan<byte> packet, in PacketSlot description)
    {
        long added = _added;
        if (packet.Length > _packetSize || added - Volatile.Read(ref _taken) == _slots.Length)
        {
            return false;
        }

        int index = (int)(added % _slots.Length);
        packet.CopyTo(_buffer.AsSpan(index * _packetSize));
        _slots[index] = description;
        _slots[index].Length = packet.Length;
        Volatile.Write(ref _added, added + 1);
        return true;
    }

    /// <summary>Takes the oldest packet into <paramref name="destination"/>; what does not fit is lost and the packet marked. False: empty.</summary>
    internal bool TryTake(Span<byte> destination, out PacketSlot description)
    {
        long taken = _taken;
        if (taken == Volatile.Read(ref _added))
        {
            description = default;
            return false;
        }

        int index = (int)(taken % _slots.Length);
        description = _slots[index];
        description.Truncated = description.Length > destination.Length;
        description.Length = Math.Min(description.Length, destination.Length);
        _buffer.AsSpan(index * _packetSize, description.Length).CopyTo(destination);
        Volatile.Write(ref _taken, taken + 1);
        return true;
    }

    /// <summary>Fills a batch; returns the number of packets.</summary>
    internal int TakeInto(PacketBatch batch)
    {
        batch.Clear();
        int count = 0;
        while (count < batch.Capacity)
        {
            int offset = batch.SlotStart(count) + batch.Headroom;
            if (!TryTake(batch.Buffer.AsSpan(offset, batch.SlotSize - batch.Headroom), out var slot))
            {
                break;
            }

            slot.Offset = offset;
            batch[count++] = slot;
        }

        batch.Count = count;
        return count;
    }
}
