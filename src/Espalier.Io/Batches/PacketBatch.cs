using System.Runtime.CompilerServices;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Batches;

/// <summary>
/// One packet in a batch's buffer, and what the device that received it knew, or what the device that is to send it must know.
/// </summary>
public struct PacketSlot
{
    /// <summary>Where the packet starts in <see cref="PacketBatch.Buffer"/>.</summary>
    public int Offset;

    /// <summary>Its length in bytes.</summary>
    public int Length;

    /// <summary>Received: the peer. To send: the outer destination.</summary>
    public InternetAddress Remote;

    /// <summary>Received: the local address it came to. To send: the outer source.</summary>
    public InternetAddress Local;

    /// <summary>UDP port of <see cref="Remote"/>, 0 for raw ESP.</summary>
    public ushort RemotePort;

    /// <summary>Outer DSCP and ECN: the IPv4 TOS byte or the IPv6 traffic class.</summary>
    public byte TrafficClass;

    /// <summary>Received: cut off because it was larger than the slot.</summary>
    public bool Truncated;

    /// <summary>It lies in a row with others, and around it is the room of <see cref="PacketBatch.Spacing"/>, not of a slot.</summary>
    public bool InRow;

    /// <summary>To send: set DF (IPv4), or do not fragment at the source (IPv6).</summary>
    public bool DontFragment;

    /// <summary>After a send: 0, or the errno with which the kernel refused this packet.</summary>
    public int Error;
}

/// <summary>
/// A batch: one pinned buffer cut into slots of equal size, each with headroom before and tailroom behind what is in it.
/// It belongs to whoever rented it from its pool until it is returned; nothing keeps a reference to its buffer after that.
/// <code>
/// | headroom | packet … | tailroom | headroom | packet | packet | packet … | tailroom | …
/// ^ slot 0                          ^ slot 1 = SlotSize
/// </code>
/// A slot holds one packet, or, where the kernel gave several datagrams as one (UDP_GRO), all of them, one right behind the other. So there may be more
/// packets than slots; then a packet's index is not that of its slot.
/// <para>Packets may also be put in a row (<see cref="Spacing"/>), with just the room between them that each needs to become a frame in place. Frames then
/// lie one right behind the other, and are sent as one piece. No packet of a row lies behind its own slot, so all can be put back (<see cref="LeaveRow"/>).</para>
/// </summary>
public sealed class PacketBatch
{
    private readonly PacketSlot[] _slots;
    private int _segmentLimit;
    private int _rowEnd;
    private bool _nextInRow;

    /// <summary>Allocates the pinned buffer once.</summary>
    /// <param name="capacity">Slots.</param>
    /// <param name="slotSize">Bytes of a slot.</param>
    /// <param name="headroom">Bytes before a received packet.</param>
    /// <param name="packetsPerSlot">Packets that a slot may hold.</param>
    public PacketBatch(int capacity, int slotSize, int headroom, int packetsPerSlot = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(packetsPerSlot);
        ArgumentOutOfRangeException.ThrowIfLessThan(slotSize, headroom + 1);
        Capacity = capacity;
        _segmentLimit = capacity;
        SlotSize = slotSize;
        Headroom = headroom;
        Buffer = GC.AllocateArray<byte>(capacity * slotSize, pinned: true);
        _slots = new PacketSlot[capacity * packetsPerSlot];
    }

    /// <summary>Number of slots.</summary>
    public int Capacity { get; }

    /// <summary>Number of packets there is room to describe.</summary>
    public int PacketCapacity => _slots.Length;

    /// <summary>Bytes of a slot, headroom and tailroom included.</summary>
    public int SlotSize { get; }

    /// <summary>Bytes kept free before a received packet.</summary>
    public int Headroom { get; }

    /// <summary>The pinned buffer.</summary>
    public byte[] Buffer { get; }

    /// <summary>Packets in it.</summary>
    public int Count { get; set; }

    /// <summary>
    /// For the device: with so many packets it takes no further segments of a super-packet, which so end where what is sent as one ends. At most, and at
    /// first, the capacity.
    /// </summary>
    public int SegmentLimit
    {
        get => _segmentLimit;
        set => _segmentLimit = Math.Clamp(value, 1, Capacity);
    }

    /// <summary>For the device: the room that packets are to have around them in a row. <see cref="FrameSpacing.None"/>, as at first: each in its slot.</summary>
    public FrameSpacing Spacing { get; set; }

    /// <summary>Received: what the device gave, a packet or a super-packet at a time.</summary>
    public int Reads { get; set; }

    /// <summary>Packet <paramref name="index"/>.</summary>
    public ref PacketSlot this[int index] => ref _slots[index];

    /// <summary>All packets in it.</summary>
    public Span<PacketSlot> Slots => _slots.AsSpan(0, Count);

    /// <summary>Start of slot <paramref name="index"/> in <see cref="Buffer"/>.</summary>
    public int SlotStart(int index) => index * SlotSize;

    /// <summary>The bytes of a packet.</summary>
    public Span<byte> Packet(int index) => Buffer.AsSpan(_slots[index].Offset, _slots[index].Length);

    /// <summary>
    /// Where the next packet, of <paramref name="largest"/> bytes or fewer, goes: in a row if there is one and it fits, else in its slot. The bytes from there to
    /// <see cref="SlotSize"/> less <see cref="Headroom"/> further on are free. Then <see cref="Append"/>.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int NextOffset(int largest)
    {
        int frame = Spacing.FrameLength(largest);
        _nextInRow = frame > 0 && frame <= SlotSize && Spacing.Before <= Headroom;
        return _nextInRow ? _rowEnd + Spacing.Before : SlotStart(Count) + Headroom;
    }

    /// <summary>Adds the packet that was written at <see cref="NextOffset"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Append(int length, bool truncated = false)
    {
        int offset = _nextInRow ? _rowEnd + Spacing.Before : SlotStart(Count) + Headroom;
        _slots[Count++] = new PacketSlot { Offset = offset, Length = length, Truncated = truncated, InRow = _nextInRow };
        _rowEnd = _nextInRow ? _rowEnd + Spacing.FrameLength(length) : SlotStart(Count);
    }

    /// <summary>Where the room starts in which packet <paramref name="index"/>, untouched since it was received, may become a frame; and how long it is.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int RoomStart(int index, out int length)
    {
        ref readonly var slot = ref _slots[index];
        length = slot.InRow ? Spacing.FrameLength(slot.Length) : SlotSize;
        return slot.InRow ? slot.Offset - Spacing.Before : SlotStart(index);
    }

    /// <summary>
    /// Moves packet <paramref name="first"/> and those after it, untouched since they were received, out of the row into their slots, because they need
    /// other room. What lies before them stays.
    /// </summary>
    public void LeaveRow(int first)
    {
        // From the last on: the slot of a packet begins behind the frames of all before it, in the row or not.
        for (int i = Count - 1; i >= first; i--)
        {
            ref var slot = ref _slots[i];
            if (slot.InRow)
            {
                int offset = SlotStart(i) + Headroom;
                Buffer.AsSpan(slot.Offset, slot.Length).CopyTo(Buffer.AsSpan(offset));
                (slot.Offset, slot.InRow) = (offset, false);
            }
        }
    }

    /// <summary>Forgets all packets; the bytes stay.</summary>
    public void Clear() => (Count, Reads, _rowEnd) = (0, 0, 0);
}
