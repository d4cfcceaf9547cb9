using Espalier.Wire.Coalescing;
using Espalier.Wire.Offload;

namespace Espalier.Wire.Tests.Coalescing;

/// <summary>Runs packets through the coalescer and gathers what it would have written.</summary>
internal sealed class CoalescedBatch
{
    /// <summary>Adds the packets, each at a place of its own in one buffer, and completes all runs.</summary>
    public CoalescedBatch(PacketCoalescer coalescer, IReadOnlyList<byte[]> packets)
    {
        byte[] buffer = new byte[packets.Sum(packet => packet.Length + 3)];
        int[] at = new int[buffer.Length];
        coalescer.Clear();
        int offset = 1;
        for (int i = 0; i < packets.Count; i++)
        {
            packets[i].CopyTo(buffer, offset);
            at.AsSpan(offset, packets[i].Length + 1).Fill(i);
            Assert.True(coalescer.TryAdd(buffer, offset, packets[i].Length));
            offset += packets[i].Length + 3;
        }

        for (int run = 0; run < coalescer.Count; run++)
        {
            var all = new PacketRange[packets.Count];
            var ranges = all[..coalescer.Complete(run, buffer, all, out var header)];
            var bytes = new MemoryStream();
            foreach (var range in ranges)
            {
                bytes.Write(buffer, range.Offset, range.Length);
            }

            Runs.Add(new Written([.. ranges.Select(range => at[range.Offset])], bytes.ToArray(), header));
        }
    }

    /// <summary>The runs in order.</summary>
    public List<Written> Runs { get; } = [];

    /// <summary>One write: the numbers of its packets, its bytes, its header.</summary>
    internal sealed record Written(List<int> Packets, byte[] Bytes, VnetHeader Header);
}
