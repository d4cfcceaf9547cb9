using Espalier.Testing;
using Espalier.Wire.Coalescing;
using Espalier.Wire.Offload;
using Espalier.Wire.Packets;
using Espalier.Wire.Tests.Coalescing;
using Flags = Espalier.Io.Interop.Tun;

namespace Espalier.Io.Tests.Tun;

/// <summary>
/// The kernel's own GRO as the oracle: a TUN with IFF_NAPI gives what is written to it to GRO, and a TUN with all offloads shows what GRO made of it.
/// </summary>
public sealed class KernelCoalescingTests
{
    private const int Cases = 200;
    private const int Attempts = 50;

    // GRO keeps no packet past a timer tick once another comes, so a batch that is written across one has its runs cut short there.
    // Such a batch is written again; a rule that differs differs each time.
    [Fact]
    public void Runs_OfTheKernel_AreOurs()
    {
        Requirement.Tool("ethtool");
        using var host = new ForwardingHost(Flags.IFF_NAPI, VnetTun.AllOffloads);
        host.Exec("ethtool", "-K", "in0", "rx-udp-gro-forwarding", "on");
        host.Exec("sh", "-c", "echo 5000000 > /sys/class/net/in0/gro_flush_timeout");
        for (int seed = 0; seed < Cases; seed++)
        {
            var packets = new Traffic(new Random(seed), isPlain: true).Packets(16);
            var ours = Ours(packets);
            var kernels = Kernels(host, packets);
            for (int attempt = 1; attempt < Attempts && !ours.SequenceEqual(kernels); attempt++)
            {
                kernels = Kernels(host, packets);
            }

            Assert.Equal($"batch {seed}: {string.Join('\n', ours)}", $"batch {seed}: {string.Join('\n', kernels)}");
        }
    }

    // Runs of different flows may come out in another order: they are compared as a set.
    private static List<string> Ours(List<byte[]> packets) => [.. new CoalescedBatch(new PacketCoalescer(packets.Count, joinUdp: true), packets).Runs
        .Select(run => Text(Forwarded(run.Bytes), run.Header)).Order(StringComparer.Ordinal)];

    private static List<string> Kernels(ForwardingHost host, List<byte[]> packets)
    {
        foreach (byte[] packet in packets)
        {
            host.In.Write(packet, default);
        }

        var runs = new List<string>();
        for (int left = packets.Count; left > 0;)
        {
            byte[]? run = host.Out.Read(out var header);
            Assert.NotNull(run);
            runs.Add(Text(run, header));
            left -= header.GsoType == GsoType.None ? 1 : (run.Length - HeaderLength(run, header) + header.GsoSize - 1) / header.GsoSize;
        }

        runs.Sort(StringComparer.Ordinal);
        return runs;
    }

    private static int HeaderLength(byte[] packet, VnetHeader header) =>
        header.ChecksumStart + (header.GsoType == GsoType.UdpL4 ? 8 : (packet[header.ChecksumStart + 12] >> 4) * 4);

    private static byte[] Forwarded(byte[] packet)
    {
        if (packet[0] >> 4 == 4)
        {
            packet[8]--;
            PacketWriter.WriteIPv4Checksum(packet.AsSpan(0, (packet[0] & 15) * 4));
        }
        else
        {
            packet[7]--;
        }

        return packet;
    }

    // The header's length is a hint, for which the kernel takes what it has in one piece.
    private static string Text(byte[] packet, VnetHeader header) => $"{Convert.ToHexString(packet)} {header with { HeaderLength = 0 }}";
}
