using CsCheck;
using Espalier.Testing;
using Espalier.Wire.Fragmentation;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Fragmentation;

// RFC 791 §3.2.
[Collection(nameof(AllocationCollection))]
public sealed class IPv4FragmenterTests
{
    [Fact]
    public void TryWriteNext_CapturedPacketWithCopiedOption_GivesTheKernelsPieces() =>
        Assert.Equal(Captures.WithRouterAlertPieces, Fragment(Forwarded(Captures.WithRouterAlert), 1280));

    [Fact]
    public void TryWriteNext_CapturedFragments_AreCutFurtherAsTheKernelDoes()
    {
        for (int i = 0; i < Captures.LargeFragments.Length; i++)
        {
            Assert.Equal(Captures.LargeFragmentsPieces[i], Fragment(Forwarded(Captures.LargeFragments[i]), 1280));
        }
    }

    [Fact]
    public void TryWriteNext_PacketThatFits_IsCopied()
    {
        Assert.Equal([Captures.TcpSyn], Fragment(Captures.TcpSyn, 60));
        Assert.Equal([Captures.TcpSyn], Fragment(Captures.TcpSyn, 9000));
    }

    [Fact]
    public void TryCreate_DontFragment_IsRefused() => Assert.False(IPv4Fragmenter.TryCreate(Captures.TooBig4, 1427, out _));

    [Fact]
    public void TryCreate_IPv6OrGarbage_IsRefused()
    {
        Assert.False(IPv4Fragmenter.TryCreate(Captures.TooBig6, 1280, out _));
        Assert.False(IPv4Fragmenter.TryCreate([], 1280, out _));
    }

    [Theory]
    [InlineData(31, false)]
    [InlineData(32, true)]
    public void TryCreate_MtuOfEightBytesOfPayload_IsTheSmallest(int mtu, bool accepted) =>
        Assert.Equal(accepted, IPv4Fragmenter.TryCreate(Captures.WithRouterAlert, mtu, out _));

    // Offsets name at most 65,535 bytes.
    [Fact]
    public void TryCreate_FragmentPastTheLargestPacket_IsRefused()
    {
        byte[] packet = Packet([], new byte[100], 0x1FF8);
        Assert.False(IPv4Fragmenter.TryCreate(packet, 68, out _));
        Assert.True(IPv4Fragmenter.TryCreate(Packet([], new byte[63], 0x1FF8), 68, out _));
    }

    // RFC 791 §3.1: an option's length counts its type and length bytes and stays in the header.
    [Theory]
    [InlineData("94000000")]
    [InlineData("94010000")]
    [InlineData("94050000")]
    [InlineData("01010194")]
    public void TryCreate_MalformedOptions_AreRefused(string options)
    {
        byte[] packet = Packet(Captures.Hex(options), new byte[100], 0);
        Assert.False(IPv4Fragmenter.TryCreate(packet, 68, out _));
        Assert.True(IPv4Fragmenter.TryCreate(packet, 1500, out _));
    }

    // RFC 791 §3.1, copied flag: record route (07) and timestamp (44) stay in the first piece, router alert (94) and LSRR (83) go on.
    [Fact]
    public void TryWriteNext_Options_OnlyCopiedOnesGoIntoLaterPieces()
    {
        byte[] options = Captures.Hex("01" + "07070400000000" + "94040000" + "8307040a000001" + "00");
        byte[][] pieces = Fragment(Packet(options, new byte[100], 0), 68);
        Assert.True(IPv4Packet.TryParse(pieces[0], out var first));
        Assert.Equal(options, first.Options.ToArray());
        foreach (byte[] piece in pieces[1..])
        {
            Assert.True(IPv4Packet.TryParse(piece, out var later));
            Assert.Equal(Captures.Hex("94040000" + "8307040a000001" + "00"), later.Options.ToArray());
        }
    }

    [Fact]
    public void TryWriteNext_AllPieces_AllocateNothing()
    {
        byte[] packet = Packet(Captures.Hex("94040000"), new byte[8000], 0);
        byte[] buffer = new byte[1500];
        Run(packet, buffer);
        int pieces = 0, rounds = 0;
        long allocated = Allocation.Least(() =>
        {
            rounds++;
            for (int i = 0; i < 1000; i++)
            {
                pieces += Run(packet, buffer);
            }
        });

        Assert.Equal(0, allocated);
        Assert.Equal(6000 * rounds, pieces);

        static int Run(byte[] packet, byte[] buffer)
        {
            Assert.True(IPv4Fragmenter.TryCreate(packet, 1500, out var fragmenter));
            int count = 0;
            while (fragmenter.TryWriteNext(buffer, out _))
            {
                count++;
            }

            return count;
        }
    }

    // Reassembled by RFC 791's own procedure, any pieces of pieces give the packet back.
    [Fact]
    public void TryWriteNext_AnyPacketCutTwice_IsReassembled() =>
        Gen.Select(
            Gen.Byte.Array[0, 3000], Gen.Int[0, 4], Gen.Int[88, 1500], Gen.Int[88, 1500], Gen.Int[0, 2000], Gen.Bool)
        .Sample((payload, optionCount, firstMtu, secondMtu, offset, moreFragments) =>
        {
            byte[] options = [.. Enumerable.Range(0, optionCount).SelectMany(i => Captures.Hex(i % 2 == 0 ? "94040000" : "440c050000000000" + "00000000"))];
            if (moreFragments)
            {
                payload = payload[..(payload.Length & ~7)];
            }

            byte[] packet = Packet(options, payload, (ushort)(offset | (moreFragments ? 0x2000 : 0)));
            byte[] whole = new byte[payload.Length];
            bool[] seen = new bool[payload.Length];
            int lastPieces = 0;
            foreach (byte[] piece in Fragment(packet, firstMtu).SelectMany(piece => Fragment(piece, secondMtu)))
            {
                Assert.True(IPv4Packet.TryParse(piece, out var view));
                Assert.True(piece.Length <= Math.Min(firstMtu, secondMtu));
                Assert.True(view.HasValidChecksum);
                Assert.Equal((0x1234, 17, 0xB8, 61), (view.Identification, view.Protocol, view.TrafficClass, view.TimeToLive));
                int at = view.FragmentOffset - (offset * 8);
                bool isLast = at + view.Payload.Length == payload.Length;
                Assert.Equal(!isLast || moreFragments, view.MoreFragments);
                Assert.True(isLast || view.Payload.Length % 8 == 0);
                lastPieces += isLast ? 1 : 0;
                view.Payload.CopyTo(whole.AsSpan(at));
                Assert.DoesNotContain(true, seen.AsSpan(at, view.Payload.Length).ToArray());
                seen.AsSpan(at, view.Payload.Length).Fill(true);
            }

            Assert.Equal(payload, whole);
            Assert.DoesNotContain(false, seen);
            Assert.Equal(1, lastPieces);
        });

    private static byte[][] Fragment(byte[] packet, int mtu)
    {
        Assert.True(IPv4Fragmenter.TryCreate(packet, mtu, out var fragmenter));
        int count = fragmenter.Count;
        var pieces = new List<byte[]>();
        byte[] buffer = new byte[Math.Min(mtu, packet.Length)];
        while (fragmenter.TryWriteNext(buffer, out int length))
        {
            pieces.Add(buffer[..length]);
            buffer.AsSpan().Fill(0xEE);
        }

        Assert.False(fragmenter.TryWriteNext(buffer, out _));
        Assert.Equal(count, pieces.Count);
        return [.. pieces];
    }

    // A router takes one from the TTL before it fragments.
    private static byte[] Forwarded(byte[] packet)
    {
        packet[8]--;
        PacketWriter.WriteIPv4Checksum(packet.AsSpan(0, (packet[0] & 15) * 4));
        return packet;
    }

    private static byte[] Packet(byte[] options, byte[] payload, ushort flagsAndOffset)
    {
        byte[] packet = new byte[20 + options.Length + payload.Length];
        PacketWriter.WriteIPv4(
            packet, Captures.HostA4, Captures.HostB4, IpProtocol.Udp, options.Length + payload.Length, 0x1234, flagsAndOffset, 0xB8, 61);
        packet[0] += (byte)(options.Length / 4);
        options.CopyTo(packet, 20);
        payload.CopyTo(packet, 20 + options.Length);
        PacketWriter.WriteIPv4Checksum(packet.AsSpan(0, 20 + options.Length));
        return packet;
    }
}
