using System.Buffers.Binary;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;

namespace Espalier.Ipsec.Tests.Esp;

public class EspEncapsulationTests
{
    private const int Headroom = 128;
    private readonly byte[] slot = new byte[10_240];

    [Fact]
    public void TryPrepare_FirstPacket_LaysOutTheHeaderAndTheTrailer()
    {
        // RFC 4303 §2: SPI, number, IV (8), payload (5), padding 1, pad length, next header, ICV (16), aligned to 4.
        var sa = Build.Sa(0x01020304, transform: new NullTransform(8, 16));
        slot.AsSpan(Headroom, 5).Fill(0xAB);
        Assert.Equal(DropReason.None, Prepare(sa, 5, out var frame, EspNextHeader.IPv4));
        Assert.Equal(Headroom - 16, frame.Offset);
        Assert.Equal(16 + 8 + 16, frame.Length);
        Assert.Equal(1UL, frame.Sequence);
        Assert.Equal([1, 2, 3, 4, 0, 0, 0, 1], slot[frame.Offset..(frame.Offset + 8)]);
        Assert.Equal([0xAB, 0xAB, 0xAB, 0xAB, 0xAB, 1, 1, 4], slot[Headroom..(Headroom + 8)]);
    }

    [Theory]
    [InlineData(1, 4)]
    [InlineData(8, 8)]
    [InlineData(16, 16)]
    public void TryPrepare_EveryLength_PadsWithOneTwoThreeToTheBlock(int cipherBlock, int alignment)
    {
        // RFC 4303 §2.4.
        var sa = Build.Sa(0x100, transform: new NullTransform(16, 12, cipherBlock));
        for (int length = 0; length < 70; length++)
        {
            slot.AsSpan().Fill(0xCC);
            Assert.Equal(DropReason.None, Prepare(sa, length, out var frame));
            int ciphertext = frame.Length - 8 - 16 - 12;
            Assert.Equal(0, ciphertext % alignment);
            Assert.Equal(sa.Transform!.Geometry.PacketLength(length), frame.Length);
            int padLength = ciphertext - length - 2;
            Assert.InRange(padLength, 0, alignment - 1);
            Assert.Equal(Enumerable.Range(1, padLength).Select(i => (byte)i), slot[(Headroom + length)..(Headroom + length + padLength)]);
            Assert.Equal(padLength, slot[Headroom + length + padLength]);
            Assert.Equal(EspNextHeader.IPv4, slot[Headroom + length + padLength + 1]);
            Assert.All(slot[(frame.Offset + frame.Length)..], b => Assert.Equal(0xCC, b));
            Assert.All(slot[..frame.Offset], b => Assert.Equal(0xCC, b));
        }
    }

    [Theory]
    [InlineData(100u, 1400, 60, 40)]
    [InlineData(100u, 1400, 100, 0)]
    [InlineData(100u, 1400, 200, 0)]
    [InlineData(2000u, 1400, 60, 1340)] // not beyond the path MTU
    [InlineData(2000u, 0, 60, 0)]
    [InlineData(2000u, -1, 60, 0)]
    [InlineData(uint.MaxValue, 1400, 1400, 0)]
    public void TryPrepare_TfcPadding_FillsUpToTheSmallerOfWishAndPath(uint wish, int maxPayload, int length, int expected)
    {
        // RFC 4303 §2.7: between the inner packet and the padding; the inner packet's own length tells it apart.
        var sa = Build.Sa(0x100, tfc: wish);
        slot.AsSpan().Fill(0xCC);
        Assert.Equal(DropReason.None, Prepare(sa, length, out var frame, maxPayload: maxPayload));
        Assert.Equal(sa.Transform!.Geometry.PacketLength(length + expected), frame.Length);
        Assert.All(slot[(Headroom + length)..(Headroom + length + expected)], b => Assert.Equal(0, b));
        Assert.Equal((ulong)length, sa.Usage.Bytes);
    }

    [Fact]
    public void TryPrepare_TfcPaddingBeyondTheSlot_IsCutToTheSlot()
    {
        var sa = Build.Sa(0x100, tfc: 60_000);
        var small = new byte[Headroom + 200];
        var reason = EspEncapsulation.TryPrepare(sa, small, Headroom, 100, 4, 60_000, 5, out var frame, out _);
        Assert.Equal(DropReason.None, reason);
        Assert.InRange(frame.Offset + frame.Length, small.Length - 3, small.Length);
    }

    [Fact]
    public void TryPrepare_NoHeadroomOrTailroom_IsOversizedAndTakesNoNumber()
    {
        var sa = Build.Sa(0x100);
        Assert.Equal(DropReason.OutboundOversized, EspEncapsulation.TryPrepare(sa, slot, 15, 100, 4, 1400, 5, out _, out _));
        Assert.Equal(DropReason.None, EspEncapsulation.TryPrepare(sa, slot, 16, 100, 4, 1400, 5, out _, out _));
        Assert.Equal(DropReason.OutboundOversized, EspEncapsulation.TryPrepare(sa, slot.AsSpan(0, 135), 16, 100, 4, 1400, 5, out _, out _));
        Assert.Equal(DropReason.None, EspEncapsulation.TryPrepare(sa, slot.AsSpan(0, 136), 16, 100, 4, 1400, 5, out _, out _));
        Assert.Equal(2UL, sa.OutboundSequence);
        Assert.Equal(2UL, sa.Usage.Packets);
    }

    [Fact]
    public void TryPrepare_LongerThanAnOuterPacketCanBe_IsOversized()
    {
        var huge = new byte[70_000];
        var sa = Build.Sa(0x100);
        int largest = sa.InnerMtu(65_535);
        Assert.Equal(DropReason.None, EspEncapsulation.TryPrepare(sa, huge, Headroom, largest, 4, 1400, 5, out _, out _));
        Assert.Equal(DropReason.OutboundOversized, EspEncapsulation.TryPrepare(sa, huge, Headroom, largest + 4, 4, 1400, 5, out _, out _));
    }

    [Theory]
    [InlineData(SaState.Larval, DropReason.OutboundSaNotValid)]
    [InlineData(SaState.Dead, DropReason.OutboundSaNotValid)]
    [InlineData(SaState.Expired, DropReason.OutboundSaExpired)]
    public void TryPrepare_NotValid_IsDropped(SaState state, DropReason reason)
    {
        var sa = Build.Sa(0x100);
        sa.State = state;
        Assert.Equal(reason, Prepare(sa, 10, out _));
        Assert.Equal(0UL, sa.OutboundSequence);
        Assert.Equal(0UL, sa.Usage.Packets);
    }

    [Fact]
    public void TryPrepare_WithoutEsn_StopsAtTheLastNumberAndKeepsTheSa()
    {
        // RFC 4303 §3.3.3: the counter must not cycle. The kernel's xfrm_replay_overflow leaves the SA as it is.
        var sa = Build.Sa(0x100);
        sa.OutboundSequence = uint.MaxValue - 1;
        Assert.Equal(DropReason.None, Prepare(sa, 10, out var frame));
        Assert.Equal(uint.MaxValue, frame.Sequence);
        Assert.Equal(DropReason.OutboundSequenceExhausted, Prepare(sa, 10, out _));
        Assert.Equal(DropReason.OutboundSequenceExhausted, Prepare(sa, 10, out _));
        Assert.Equal(uint.MaxValue, sa.OutboundSequence);
        Assert.Equal(SaState.Valid, sa.State);
        Assert.Equal(1UL, sa.Usage.Packets);
    }

    [Fact]
    public void TryPrepare_WithEsn_GoesAcrossTwoTo32AndStopsAtTwoTo64()
    {
        var sa = Build.Sa(0x100, flags: SaFlags.Esn);
        sa.OutboundSequence = uint.MaxValue;
        Assert.Equal(DropReason.None, Prepare(sa, 10, out var frame));
        Assert.Equal(1UL << 32, frame.Sequence);
        Assert.Equal(0u, BinaryPrimitives.ReadUInt32BigEndian(slot.AsSpan(frame.Offset + 4)));
        sa.OutboundSequence = ulong.MaxValue - 1;
        Assert.Equal(DropReason.None, Prepare(sa, 10, out frame));
        Assert.Equal(ulong.MaxValue, frame.Sequence);
        Assert.Equal(DropReason.OutboundSequenceExhausted, Prepare(sa, 10, out _));
    }

    [Fact]
    public void TryPrepare_HardPacketLimit_LetsExactlySoManyPassAndTellsOnce()
    {
        // xfrm_state_check_expire looks before it counts, and compares with >=.
        var sa = Build.Sa(0x100, limits: LifetimeLimits.None with { HardPackets = 3 });
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(DropReason.None, Prepare(sa, 10, out _, notice: null));
        }

        Assert.Equal(DropReason.OutboundSaExpired, Prepare(sa, 10, out _, notice: IpsecEventKind.HardExpired));
        Assert.Equal(SaState.Expired, sa.State);
        Assert.Equal(DropReason.OutboundSaExpired, Prepare(sa, 10, out _, notice: null));
        Assert.Equal(3UL, sa.Usage.Packets);
        Assert.Equal(3UL, sa.OutboundSequence);
    }

    [Fact]
    public void TryPrepare_ByteLimits_CountInnerBytes()
    {
        var sa = Build.Sa(0x100, limits: LifetimeLimits.None with { SoftBytes = 100, HardBytes = 200 });
        Assert.Equal(DropReason.None, Prepare(sa, 99, out _, notice: null));
        Assert.Equal(DropReason.None, Prepare(sa, 1, out _, notice: null));
        Assert.Equal(DropReason.None, Prepare(sa, 99, out _, notice: IpsecEventKind.SoftExpired));
        Assert.True(sa.Dying);
        Assert.Equal(DropReason.None, Prepare(sa, 1, out _, notice: null));
        Assert.Equal(DropReason.OutboundSaExpired, Prepare(sa, 1, out _, notice: IpsecEventKind.HardExpired));
        Assert.Equal(200UL, sa.Usage.Bytes);
    }

    [Fact]
    public void TryPrepare_Times_FirstUseIsKeptAndLastUseMoves()
    {
        var sa = Build.Sa(0x100);
        Prepare(sa, 10, out _, now: 1_000);
        Prepare(sa, 10, out _, now: 1_005);
        Assert.Equal(1_000UL, sa.Usage.UseTime);
        Assert.Equal(1_005UL, sa.Usage.LastUsed);
    }

    private DropReason Prepare(
        SecurityAssociation sa, int length, out EspFrame frame, byte nextHeader = EspNextHeader.IPv4, int maxPayload = 1400, ulong now = 5) =>
        EspEncapsulation.TryPrepare(sa, slot, Headroom, length, nextHeader, maxPayload, now, out frame, out _);

    private DropReason Prepare(SecurityAssociation sa, int length, out EspFrame frame, IpsecEventKind? notice)
    {
        var reason = EspEncapsulation.TryPrepare(sa, slot, Headroom, length, EspNextHeader.IPv4, 1400, 5, out frame, out var told);
        Assert.Equal(notice, told);
        return reason;
    }
}
