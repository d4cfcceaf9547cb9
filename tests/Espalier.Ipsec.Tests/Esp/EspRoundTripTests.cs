using System.Buffers.Binary;
using CsCheck;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Sad;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.Ipsec.Tests.Esp;

/// <summary>What one side prepares and seals, the other checks, opens and commits.</summary>
[Collection(nameof(AllocationCollection))]
public class EspRoundTripTests
{
    private const int Headroom = 128;

    [Fact]
    public void Property_AnyPacket_ComesOutAsItWentIn()
    {
        using var sender = Sender(esn: false);
        using var receiver = Receiver(esn: false);
        byte[] slot = new byte[10_240];
        Gen.Select(Gen.Int[20, 9_000], Gen.Byte, Gen.Bool).Sample(
            (length, fill, v6) =>
            {
                length = v6 ? Math.Max(length, 40) : length;
                WriteInner(slot.AsSpan(Headroom, length), fill, v6);
                byte[] before = slot.AsSpan(Headroom, length).ToArray();
                var frame = Seal(sender, slot, length, v6 ? EspNextHeader.IPv6 : EspNextHeader.IPv4);
                var esp = slot.AsSpan(frame.Offset, frame.Length);
                Assert.False(esp[16..^16].StartsWith(before.AsSpan(0, 20)));
                Assert.Equal(DropReason.None, Open(receiver, esp, out var inner));
                Assert.Equal(v6 ? IpVersion.IPv6 : IpVersion.IPv4, inner.Version);
                Assert.Equal(before, esp.Slice(inner.Offset, inner.Length).ToArray());
            },
            iter: 500, threads: 1);
    }

    [Fact]
    public void Esn_AcrossTwoTo32_IsSealedAndOpenedWithTheFullNumber()
    {
        using var sender = Sender(esn: true);
        using var receiver = Receiver(esn: true);
        sender.OutboundSequence = uint.MaxValue - 100;
        receiver.Replay!.Restore(sender.OutboundSequence, []);
        byte[] slot = new byte[2_048];
        for (int i = 0; i < 200; i++)
        {
            WriteInner(slot.AsSpan(Headroom, 100), (byte)i, v6: false);
            var frame = Seal(sender, slot, 100, EspNextHeader.IPv4);
            Assert.Equal(DropReason.None, Open(receiver, slot.AsSpan(frame.Offset, frame.Length), out _));
            Assert.Equal(sender.OutboundSequence, receiver.Replay.Highest);
        }

        Assert.True(receiver.Replay.Highest > uint.MaxValue);
        Assert.Equal(200UL, receiver.Usage.Packets);
        Assert.Equal(0UL, receiver.IntegrityFailures);
    }

    [Fact]
    public void Esn_ReceiverOutOfStepByASubspace_FailsIntegrityAndChangesNothing()
    {
        // RFC 4303 §2.2.1: the high half is not sent, but the ICV covers it.
        using var sender = Sender(esn: true);
        using var receiver = Receiver(esn: true);
        sender.OutboundSequence = (5UL << 32) + 10;
        byte[] slot = new byte[2_048];
        WriteInner(slot.AsSpan(Headroom, 100), 1, v6: false);
        var frame = Seal(sender, slot, 100, EspNextHeader.IPv4);
        Assert.Equal(DropReason.InboundIntegrityFailure, Open(receiver, slot.AsSpan(frame.Offset, frame.Length), out _));
        Assert.Equal((0UL, 0UL, 1UL), (receiver.Replay!.Highest, receiver.Usage.Packets, receiver.IntegrityFailures));
    }

    [Fact]
    public void Forged_EveryByte_FailsAndLeavesTheWindow()
    {
        using var sender = Sender(esn: false);
        using var receiver = Receiver(esn: false);
        byte[] slot = new byte[2_048];
        WriteInner(slot.AsSpan(Headroom, 40), 7, v6: false);
        var frame = Seal(sender, slot, 40, EspNextHeader.IPv4);
        byte[] good = slot.AsSpan(frame.Offset, frame.Length).ToArray();
        for (int i = 0; i < good.Length; i++)
        {
            byte[] forged = (byte[])good.Clone();
            forged[i] ^= 0x10;
            Assert.Equal(DropReason.InboundIntegrityFailure, Open(receiver, forged, out _));
        }

        Assert.Equal((ulong)good.Length, receiver.IntegrityFailures);
        Assert.Equal((0UL, 0UL), (receiver.Replay!.Highest, receiver.Usage.Packets));
        Assert.Equal(DropReason.None, Open(receiver, good, out _));
    }

    [Fact]
    public void SealAndOpen_AHundredThousandPackets_AllocateNothing()
    {
        using var sender = Sender(esn: false);
        using var receiver = Receiver(esn: false);
        byte[] slot = GC.AllocateArray<byte>(2_048, pinned: true);

        int passed = 0, rounds = 0;
        long allocated = Allocation.Least(() =>
        {
            rounds++;
            passed += Exchange(sender, receiver, slot, 100_000);
        });

        Assert.Equal((100_000 * rounds, 0L), (passed, allocated));
    }

    private static int Exchange(SecurityAssociation sender, SecurityAssociation receiver, byte[] slot, int count)
    {
        int passed = 0;
        for (int i = 0; i < count; i++)
        {
            WriteInner(slot.AsSpan(Headroom, 200), (byte)i, v6: false);
            var reason = EspEncapsulation.TryPrepare(sender, slot, Headroom, 200, EspNextHeader.IPv4, 1_400, 5, out var frame, out _);
            var esp = slot.AsSpan(frame.Offset, frame.Length);
            if (reason == DropReason.None && sender.Transform!.TrySeal(esp, frame.Sequence) && Open(receiver, esp, out _) == DropReason.None)
            {
                passed++;
            }
        }

        return passed;
    }

    private static EspFrame Seal(SecurityAssociation sa, byte[] slot, int length, byte nextHeader)
    {
        Assert.Equal(DropReason.None, EspEncapsulation.TryPrepare(sa, slot, Headroom, length, nextHeader, 1_400, 5, out var frame, out _));
        Assert.True(sa.Transform!.TrySeal(slot.AsSpan(frame.Offset, frame.Length), frame.Sequence));
        return frame;
    }

    private static DropReason Open(SecurityAssociation sa, Span<byte> esp, out InnerPacket inner)
    {
        inner = default;
        var reason = EspDecapsulation.Check(sa, esp, out ulong sequence, out _);
        if (reason != DropReason.None)
        {
            return reason;
        }

        if (!sa.Transform!.TryOpen(esp, sequence))
        {
            EspDecapsulation.CountFailure(sa, DropReason.InboundIntegrityFailure);
            return DropReason.InboundIntegrityFailure;
        }

        return EspDecapsulation.Commit(sa, sequence, esp, 5, out inner, out _);
    }

    private static void WriteInner(Span<byte> packet, byte fill, bool v6)
    {
        packet.Fill(fill);
        packet[0] = (byte)(v6 ? 0x60 : 0x45);
        BinaryPrimitives.WriteUInt16BigEndian(packet[(v6 ? 4 : 2)..], (ushort)(packet.Length - (v6 ? 40 : 0)));
    }

    private static SecurityAssociation Sender(bool esn) => Build.Sa(0x1000, flags: esn ? SaFlags.Esn : 0, transform: Build.AesGcm(esn));

    private static SecurityAssociation Receiver(bool esn) => Build.Sa(0x1000, flags: esn ? SaFlags.Esn : 0, window: 128, transform: Build.AesGcm(esn));
}
