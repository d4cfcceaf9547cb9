using Espalier.Wire.Coalescing;
using Espalier.Wire.Offload;
using Espalier.Wire.Segmentation;
using Espalier.Wire.Tests.Coalescing;
using Espalier.Wire.Tests.Offload;

namespace Espalier.Io.Tests.Tun;

/// <summary>
/// The kernel's own GSO as the oracle: what is written to one TUN with a vnet header is forwarded to another that takes no offloads, so the kernel
/// has to segment and to complete checksums itself; what comes out is compared with what ours makes, byte for byte.
/// </summary>
public sealed class KernelSegmentationTests
{
    private const int Cases = 300;

    [Fact]
    public void Segments_OfTheKernel_AreTheModelsAndOurs()
    {
        using var host = new ForwardingHost(0, 0);
        foreach (var (shape, size) in SuperPackets(host.HasUso))
        {
            byte[] packet = shape.BuildPartial(size, out var header);
            host.In.Write(packet, header);
            var forwarded = shape with { TimeToLive = (byte)(shape.TimeToLive - 1) };
            byte[][] expected = [.. forwarded.Segment(size).Select(segment => segment.Build())];
            PacketAssert.Equal(expected, Read(host, expected.Length));
            PacketAssert.Equal(expected, Ours(forwarded.BuildPartial(size, out header), header));
        }
    }

    // The vnet header as the kernel makes it, from a TUN with offloads.
    [Fact]
    public void Segments_OfASuperPacketFromTheKernel_AreTheModels()
    {
        using var host = new ForwardingHost(0, VnetTun.AllOffloads);
        foreach (var (shape, size) in SuperPackets(host.HasUso))
        {
            byte[] packet = shape.BuildPartial(size, out var header);
            host.In.Write(packet, header);
            byte[]? read = host.Out.Read(out header);
            Assert.NotNull(read);
            Assert.Equal(packet.Length, read.Length);
            var forwarded = shape with { TimeToLive = (byte)(shape.TimeToLive - 1) };
            PacketAssert.Equal([.. forwarded.Segment(size).Select(segment => segment.Build())], Ours(read, header));
        }
    }

    [Fact]
    public void TryComplete_ChecksumLeftToTheDevice_IsTheKernels()
    {
        using var host = new ForwardingHost(0, 0);
        foreach (var (shape, _) in SuperPackets(host.HasUso))
        {
            byte[] packet = shape.BuildPartial(0, out var header);
            host.In.Write(packet, header);
            byte[] ours = (shape with { TimeToLive = (byte)(shape.TimeToLive - 1) }).BuildPartial(0, out _);
            Assert.True(PartialChecksum.TryComplete(ours, header));
            PacketAssert.Equal([ours], Read(host, 1));
        }
    }

    // What we write to a TUN, the kernel takes for the packets that came.
    [Fact]
    public void Runs_WrittenToTheKernel_AreSegmentedBackToThePackets()
    {
        using var host = new ForwardingHost(0, 0);
        foreach (var (any, size) in SuperPackets(host.HasUso))
        {
            var shape = any with { Options = [], SegmentsLeft = 0, Flags = 0x18 };
            var packets = shape.Segment(size);
            var run = Assert.Single(new CoalescedBatch(new PacketCoalescer(packets.Count, joinUdp: true), [.. packets.Select(packet => packet.Build())]).Runs);
            host.In.Write(run.Bytes, run.Header);
            PacketAssert.Equal([.. packets.Select(packet => (packet with { TimeToLive = (byte)(packet.TimeToLive - 1) }).Build())], Read(host, packets.Count));
        }
    }

    // Deterministic: each run of the test sees the same packets. No more than 64 segments, the kernel's limit for UDP.
    private static IEnumerable<(PacketShape Shape, int Size)> SuperPackets(bool hasUso)
    {
        for (int seed = 0; seed < Cases; seed++)
        {
            var random = new Random(seed);
            int length = random.Next(4) == 0 ? random.Next(2, 65_000) : random.Next(2, 2000);
            int size = random.Next((length / 64) + 1, length);
            var shape = Shapes.Random(random, length);
            shape = shape with { TimeToLive = Math.Max((byte)2, shape.TimeToLive), IsTcp = shape.IsTcp || !hasUso };
            yield return (shape, size);
        }
    }

    private static List<byte[]> Ours(byte[] packet, VnetHeader header)
    {
        Assert.True(PacketSegmenter.TryCreate(packet, header, 65_535, out var segmenter, out var refusal), refusal.ToString());
        var segments = new List<byte[]>();
        byte[] buffer = new byte[segmenter.LargestLength];
        while (segmenter.TryWriteNext(buffer, out int length))
        {
            segments.Add(buffer[..length]);
        }

        return segments;
    }

    private static List<byte[]> Read(ForwardingHost host, int count)
    {
        var packets = new List<byte[]>();
        while (packets.Count < count)
        {
            byte[]? packet = host.Out.Read(out var header);
            Assert.NotNull(packet);
            Assert.Equal(default, header);
            packets.Add(packet);
        }

        return packets;
    }
}
