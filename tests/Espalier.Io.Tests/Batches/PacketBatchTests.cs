using CsCheck;
using Espalier.Io.Batches;

namespace Espalier.Io.Tests.Batches;

/// <summary>Packets in a row, against a list of byte arrays.</summary>
public sealed class PacketBatchTests
{
    private const int Slots = 16;
    private const int SlotSize = 256;
    private const int Headroom = 32;

    private static readonly Gen<FrameSpacing> AnySpacing = Gen.Frequency(
        (1, Gen.Const(FrameSpacing.None)),
        (6, Gen.Select(Gen.Int[0, 40], Gen.Int[0, 4], Gen.Int[0, 4], Gen.Int[0, 20]).Select(
            static (before, trailer, alignment, behind) => new FrameSpacing(before, trailer, 1 << alignment, behind))));

    [Fact]
    public void Append_AnySpacing_PacketsStandWithTheirRoomAndApart() =>
        Gen.Select(AnySpacing, Gen.Byte.Array[0, SlotSize - Headroom].Array[1, Slots], Gen.Int[0, Slots]).Sample(
            static (spacing, packets, from) =>
            {
                var batch = new PacketBatch(Slots, SlotSize, Headroom) { Spacing = spacing };
                Fill(batch, packets);
                AssertHolds(batch, packets);

                from = Math.Min(from, packets.Length);
                var before = batch.Slots[..from].ToArray();
                batch.LeaveRow(from);
                AssertHolds(batch, packets);
                Assert.Equal(before.Select(static slot => slot.Offset), batch.Slots[..from].ToArray().Select(static slot => slot.Offset));
                for (int i = from; i < packets.Length; i++)
                {
                    Assert.Equal(batch.SlotStart(i), batch.RoomStart(i, out int length));
                    Assert.Equal(SlotSize, length);
                    Assert.Equal(batch.SlotStart(i) + Headroom, batch[i].Offset);
                }
            });

    // Frames in a row, made in the room that there is, are one piece.
    [Fact]
    public void Append_WithSpacing_RoomsAreOneRightBehindTheOther()
    {
        var batch = new PacketBatch(Slots, SlotSize, Headroom) { Spacing = new FrameSpacing(16, 2, 4, 16) };
        Fill(batch, [new byte[61], new byte[62], new byte[3]]);
        Assert.Equal((0, 96), (batch.RoomStart(0, out int first), first));
        Assert.Equal((96, 96), (batch.RoomStart(1, out int second), second));
        Assert.Equal((192, 40), (batch.RoomStart(2, out int third), third));
    }

    [Fact]
    public void Append_FrameLargerThanASlot_StandsInItsSlot_AndTheRowGoesOnBehind()
    {
        var batch = new PacketBatch(Slots, SlotSize, Headroom) { Spacing = new FrameSpacing(16, 2, 4, 16) };
        Fill(batch, [new byte[10], new byte[SlotSize - Headroom], new byte[10], new byte[10]]);
        Assert.Equal([16, SlotSize + Headroom, (2 * SlotSize) + 16, (2 * SlotSize) + 44 + 16], batch.Slots.ToArray().Select(static slot => slot.Offset));

        batch.Clear();
        Fill(batch, [new byte[10]]);
        Assert.Equal(16, batch[0].Offset);
    }

    private static void Fill(PacketBatch batch, byte[][] packets)
    {
        foreach (byte[] packet in packets)
        {
            // A device may not know the length before it has written.
            int offset = batch.NextOffset(packet.Length);
            batch.Buffer.AsSpan(offset, SlotSize - Headroom).Fill(0xEE);
            packet.CopyTo(batch.Buffer, offset);
            batch.Append(packet.Length);
        }
    }

    private static void AssertHolds(PacketBatch batch, byte[][] packets)
    {
        int end = 0;
        for (int i = 0; i < packets.Length; i++)
        {
            Assert.Equal(packets[i], batch.Packet(i).ToArray());
            int start = batch.RoomStart(i, out int length);
            Assert.InRange(start, end, batch.SlotStart(i));
            Assert.InRange(length, batch[i].Length, SlotSize);
            Assert.InRange(batch[i].Offset, start, start + length - batch[i].Length);
            end = start + length;
        }
    }
}
