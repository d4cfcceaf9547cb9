using System.Buffers.Binary;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Tests.Esp;

public class EspDecapsulationTests
{
    private const ulong Now = 1_000;

    [Fact]
    public void CheckThenCommit_GoodPacket_GivesTheInnerPacketAndCountsIt()
    {
        var sa = Build.Sa(0x100, window: 64);
        byte[] esp = Opened(InnerV4(45), sequence: 7);
        Assert.Equal(DropReason.None, EspDecapsulation.Check(sa, esp, out ulong sequence, out var notice));
        Assert.Null(notice);
        Assert.Equal(7UL, sequence);
        Assert.Equal(0UL, sa.Replay!.Highest);
        Assert.Equal(0UL, sa.Usage.Packets);
        Assert.Equal(DropReason.None, EspDecapsulation.Commit(sa, sequence, esp, Now, out var inner, out notice));
        Assert.Null(notice);
        Assert.Equal(new InnerPacket(16, 45, IpVersion.IPv4), inner);
        Assert.Equal(7UL, sa.Replay.Highest);
        Assert.Equal((45UL, 1UL, Now, Now), (sa.Usage.Bytes, sa.Usage.Packets, sa.Usage.UseTime, sa.Usage.LastUsed));
    }

    [Fact]
    public void Commit_IPv6Inner_IsFound()
    {
        Assert.Equal(DropReason.None, Commit(Opened(InnerV6(33), EspNextHeader.IPv6), out var inner));
        Assert.Equal(new InnerPacket(16, 73, IpVersion.IPv6), inner);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(16)]
    [InlineData(32)]
    [InlineData(33)]
    public void Check_ShorterThanATrailer_IsMalformed(int length)
    {
        // Header 8, IV 8, trailer 2, ICV 16: the shortest is 34.
        var sa = Build.Sa(0x100, window: 64);
        Assert.Equal(DropReason.InboundMalformedEsp, EspDecapsulation.Check(sa, new byte[length], out _, out _));
        Assert.Equal((0UL, 0UL), (sa.ReplayFailures, sa.ReplayWindowFailures));
    }

    [Theory]
    [InlineData(34)]
    [InlineData(35)]
    [InlineData(36)]
    [InlineData(37)]
    public void Check_CiphertextThatEndsAnywhere_IsTakenWhereTheCipherHasNoBlocks(int length)
    {
        // RFC 4303 §2.4 has the sender end it at a multiple of 4; the kernel takes any.
        var sa = Build.Sa(0x100, window: 64);
        Assert.Equal(DropReason.None, EspDecapsulation.Check(sa, With(new byte[length], 7, 1), out _, out _));
    }

    [Fact]
    public void Check_ShortestPacketOfABlockCipher_IsOneBlock()
    {
        var sa = Build.Sa(0x100, transform: new NullTransform(16, 12, 16));
        Assert.Equal(DropReason.InboundMalformedEsp, EspDecapsulation.Check(sa, new byte[8 + 16 + 12], out _, out _));
        Assert.Equal(DropReason.InboundMalformedEsp, EspDecapsulation.Check(sa, new byte[8 + 16 + 4 + 12], out _, out _));
        Assert.Equal(DropReason.None, EspDecapsulation.Check(sa, new byte[8 + 16 + 16 + 12], out _, out _));
        Assert.Equal(DropReason.InboundMalformedEsp, EspDecapsulation.Check(sa, new byte[8 + 16 + 20 + 12], out _, out _));
    }

    [Theory]
    [InlineData(SaState.Larval, DropReason.InboundSaLarval)]
    [InlineData(SaState.Dead, DropReason.InboundSaNotValid)]
    [InlineData(SaState.Expired, DropReason.InboundSaExpired)]
    public void CheckAndCommit_NotValid_AreDropped(SaState state, DropReason reason)
    {
        var sa = Build.Sa(0x100);
        sa.State = state;
        byte[] esp = Opened(InnerV4(20));
        Assert.Equal(reason, EspDecapsulation.Check(sa, esp, out _, out _));
        Assert.Equal(reason, EspDecapsulation.Commit(sa, 1, esp, Now, out _, out _));
        Assert.Equal(0UL, sa.Usage.Packets);
    }

    [Fact]
    public void Check_SaForSending_IsRefused()
    {
        var sa = Build.Sa(0x100, direction: SecurityAssociation.DirectionOut);
        Assert.Equal(DropReason.InboundSaDirection, EspDecapsulation.Check(sa, Opened(InnerV4(20)), out _, out _));
    }

    [Fact]
    public void CheckAndCommit_Replay_CountsEachFailureInItsCounter()
    {
        var sa = Build.Sa(0x100, window: 32);
        Receive(sa, 100, DropReason.None);
        Receive(sa, 100, DropReason.InboundReplayed);
        Receive(sa, 69, DropReason.None);
        Receive(sa, 68, DropReason.InboundOutsideReplayWindow);
        Assert.Equal((1UL, 1UL), (sa.ReplayFailures, sa.ReplayWindowFailures));

        // The kernel drops number 0 too, and counts it in neither.
        Receive(sa, 0, DropReason.InboundOutsideReplayWindow);
        Assert.Equal((1UL, 1UL, 2UL), (sa.ReplayFailures, sa.ReplayWindowFailures, sa.Usage.Packets));
    }

    [Fact]
    public void Commit_SecondOfABatchWithTheSameNumber_IsReplayedAndNotCounted()
    {
        var sa = Build.Sa(0x100, window: 32);
        byte[] esp = Opened(InnerV4(20), sequence: 3);
        Assert.Equal(DropReason.None, EspDecapsulation.Check(sa, esp, out _, out _));
        Assert.Equal(DropReason.None, EspDecapsulation.Check(sa, esp, out _, out _));
        Assert.Equal(DropReason.None, EspDecapsulation.Commit(sa, 3, esp, Now, out _, out _));
        Assert.Equal(DropReason.InboundReplayed, EspDecapsulation.Commit(sa, 3, esp, Now, out _, out _));
        Assert.Equal((1UL, 1UL), (sa.ReplayFailures, sa.Usage.Packets));
    }

    [Fact]
    public void CheckAndCommit_NoWindow_TakesEveryNumber()
    {
        var sa = Build.Sa(0x100);
        Receive(sa, 5, DropReason.None);
        Receive(sa, 5, DropReason.None);
        Receive(sa, 0, DropReason.None);
        Assert.Equal(3UL, sa.Usage.Packets);
    }

    [Fact]
    public void Check_Esn_GivesTheFullNumber()
    {
        var sa = Build.Sa(0x100, flags: SaFlags.Esn, window: 64);
        sa.Replay!.Restore(0x1_FFFF_FFF0, []);
        Assert.Equal(DropReason.None, EspDecapsulation.Check(sa, Opened(InnerV4(20), sequence: 5), out ulong sequence, out _));
        Assert.Equal(0x2_0000_0005UL, sequence);
        Assert.Equal(DropReason.None, EspDecapsulation.Check(sa, Opened(InnerV4(20), sequence: 0xFFFF_FFF1), out sequence, out _));
        Assert.Equal(0x1_FFFF_FFF1UL, sequence);
    }

    [Fact]
    public void Check_HardLimit_EndsTheSaAndTellsOnce_ButNotForAReplay()
    {
        var sa = Build.Sa(0x100, window: 32, limits: LifetimeLimits.None with { HardPackets = 2 });
        Receive(sa, 1, DropReason.None);
        Receive(sa, 2, DropReason.None);
        Receive(sa, 2, DropReason.InboundReplayed);
        Assert.Equal(SaState.Valid, sa.State);
        Assert.Equal(DropReason.InboundSaExpired, EspDecapsulation.Check(sa, Opened(InnerV4(20), sequence: 3), out _, out var notice));
        Assert.Equal(IpsecEventKind.HardExpired, notice);
        Assert.Equal(DropReason.InboundSaExpired, EspDecapsulation.Check(sa, Opened(InnerV4(20), sequence: 3), out _, out notice));
        Assert.Null(notice);
    }

    [Fact]
    public void Commit_BatchThatPassesTheHardLimit_StopsAtTheLimit()
    {
        var sa = Build.Sa(0x100, window: 32, limits: LifetimeLimits.None with { SoftPackets = 1, HardPackets = 2 });
        for (uint i = 1; i <= 4; i++)
        {
            Assert.Equal(DropReason.None, EspDecapsulation.Check(sa, Opened(InnerV4(20), sequence: i), out _, out _));
        }

        var told = new List<IpsecEventKind?>();
        var reasons = new List<DropReason>();
        for (uint i = 1; i <= 4; i++)
        {
            reasons.Add(EspDecapsulation.Commit(sa, i, Opened(InnerV4(20), sequence: i), Now, out _, out var notice));
            told.Add(notice);
        }

        Assert.Equal([DropReason.None, DropReason.None, DropReason.InboundSaExpired, DropReason.InboundSaExpired], reasons);
        Assert.Equal([null, IpsecEventKind.SoftExpired, IpsecEventKind.HardExpired, null], told);
        Assert.Equal((2UL, 2UL), (sa.Usage.Packets, sa.Replay!.Highest));
    }

    [Fact]
    public void Commit_TfcPadding_IsCutOffByTheInnerLength()
    {
        // RFC 4303 §2.7.
        byte[] payload = [.. InnerV4(40), .. new byte[500]];
        var sa = Build.Sa(0x100);
        Assert.Equal(DropReason.None, EspDecapsulation.Commit(sa, 1, Opened(payload), Now, out var inner, out _));
        Assert.Equal(40, inner.Length);
        Assert.Equal(40UL, sa.Usage.Bytes);

        payload = [.. InnerV6(8), .. new byte[100]];
        Assert.Equal(DropReason.None, Commit(Opened(payload, EspNextHeader.IPv6), out inner));
        Assert.Equal(48, inner.Length);
    }

    [Fact]
    public void Commit_Dummy_IsDiscardedButMovesTheWindow()
    {
        // RFC 4303 §2.6: whatever is in it.
        var sa = Build.Sa(0x100, window: 32);
        Assert.Equal(DropReason.InboundDummy, EspDecapsulation.Commit(sa, 9, Opened([1, 2, 3], EspNextHeader.None, 9), Now, out _, out _));
        Assert.Equal(DropReason.InboundDummy, EspDecapsulation.Commit(sa, 10, Opened([], EspNextHeader.None, 10), Now, out _, out _));
        Assert.Equal((10UL, 2UL), (sa.Replay!.Highest, sa.Usage.Packets));
    }

    [Theory]
    [InlineData(EspNextHeader.IPv6)]
    [InlineData(6)]
    [InlineData(17)]
    [InlineData(0)]
    [InlineData(50)]
    public void Commit_NextHeaderThatIsNoTunnelOrDoesNotFit_IsDropped(byte nextHeader) =>
        Assert.Equal(DropReason.InboundBadNextHeader, Commit(Opened(InnerV4(20), nextHeader), out _));

    [Fact]
    public void Commit_IPv6UnderNextHeader4_IsDropped() =>
        Assert.Equal(DropReason.InboundBadNextHeader, Commit(Opened(InnerV6(0), EspNextHeader.IPv4), out _));

    public static TheoryData<string, byte[], byte> MalformedInner => new()
    {
        { "nothing", [], 4 },
        { "short v4", InnerV4(20)[..19], 4 },
        { "v4 IHL 4", With(InnerV4(20), 0, 0x44), 4 },
        { "v4 total < header", With(InnerV4(24), 3, 19), 4 },
        { "v4 total < IHL", With(With(InnerV4(40), 0, 0x4A), 3, 39), 4 },
        { "v4 total > payload", With(InnerV4(20), 3, 21), 4 },
        { "short v6", InnerV6(0)[..39], 41 },
        { "v6 length > payload", With(InnerV6(4), 5, 5), 41 },
    };

    [Theory]
    [MemberData(nameof(MalformedInner))]
    public void Commit_InnerHeaderMalformed_IsDroppedAndCountsAsUse(string what, byte[] payload, byte nextHeader)
    {
        var sa = Build.Sa(0x100);
        Assert.True(EspDecapsulation.Commit(sa, 1, Opened(payload, nextHeader), Now, out _, out _) == DropReason.InboundMalformedInner, what);
        Assert.Equal(1UL, sa.Usage.Packets);
    }

    [Fact]
    public void Commit_PadLengthLongerThanThePacket_IsDropped()
    {
        byte[] esp = Opened(InnerV4(20));
        esp[^18] = 23;
        Assert.Equal(DropReason.InboundBadPadding, Commit(esp, out _));
        esp[^18] = 255;
        Assert.Equal(DropReason.InboundBadPadding, Commit(esp, out _));
    }

    [Fact]
    public void Commit_PaddingNotOneTwoThree_IsNoticedAndTaken()
    {
        // RFC 4303 §2.4: it should be inspected, where nothing else protects the packet.
        byte[] esp = Opened(InnerV4(21));
        Assert.Equal(1, esp[^18]);
        Assert.Equal(DropReason.None, Commit(esp, out var usual));
        Assert.False(usual.HasUnusualPadding);
        esp[^19] = 0;
        Assert.Equal(DropReason.None, Commit(esp, out var inner));
        Assert.Equal((usual.Offset, usual.Length, true), (inner.Offset, inner.Length, inner.HasUnusualPadding));
    }

    [Fact]
    public void Commit_MorePaddingThanNeeded_IsTaken()
    {
        // RFC 4303 §2.4: up to 255 bytes, to hide the length of the payload.
        byte[] padding = [.. Enumerable.Range(1, 254).Select(i => (byte)i)];
        byte[] esp = [0, 0, 1, 0, 0, 0, 0, 1, .. new byte[8], .. InnerV4(20), .. padding, 254, 4, .. new byte[16]];
        Assert.Equal(DropReason.None, Commit(esp, out var inner));
        Assert.Equal(20, inner.Length);
    }

    [Fact]
    public void CountFailure_OnlyIntegrityIsCountedHere()
    {
        var sa = Build.Sa(0x100);
        foreach (var reason in Enum.GetValues<DropReason>())
        {
            EspDecapsulation.CountFailure(sa, reason);
        }

        Assert.Equal((1UL, 0UL, 0UL), (sa.IntegrityFailures, sa.ReplayFailures, sa.ReplayWindowFailures));
    }

    private static void Receive(SecurityAssociation sa, uint sequence, DropReason expected)
    {
        byte[] esp = Opened(InnerV4(20), sequence: sequence);
        var reason = EspDecapsulation.Check(sa, esp, out ulong full, out _);
        Assert.Equal(expected, reason == DropReason.None ? EspDecapsulation.Commit(sa, full, esp, Now, out _, out _) : reason);
    }

    private static DropReason Commit(byte[] opened, out InnerPacket inner) =>
        EspDecapsulation.Commit(Build.Sa(0x100), 1, opened, Now, out inner, out _);

    /// <summary>An ESP packet after opening: IV of 8, ICV of 16, aligned to 4.</summary>
    private static byte[] Opened(byte[] payload, byte nextHeader = EspNextHeader.IPv4, uint sequence = 1)
    {
        int padLength = (4 - ((payload.Length + 2) % 4)) % 4;
        byte[] header = new byte[16];
        header[2] = 1;
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(4), sequence);
        return [.. header, .. payload, .. Enumerable.Range(1, padLength).Select(i => (byte)i), (byte)padLength, nextHeader, .. new byte[16]];
    }

    private static byte[] InnerV4(int length)
    {
        byte[] packet = new byte[length];
        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)length);
        return packet;
    }

    private static byte[] InnerV6(int payload)
    {
        byte[] packet = new byte[40 + payload];
        packet[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)payload);
        return packet;
    }

    private static byte[] With(byte[] packet, int at, byte value)
    {
        packet[at] = value;
        return packet;
    }
}
