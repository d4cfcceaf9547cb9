using System.Buffers.Binary;
using Espalier.Io.Tun;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;
using Espalier.Wire.Coalescing;
using Espalier.Wire.Offload;
using Espalier.Wire.Packets;
using Espalier.Wire.Segmentation;
using Espalier.Wire.Tests.Coalescing;
using Espalier.Wire.Tests.Offload;

namespace Espalier.Fuzz.Targets;

/// <summary>
/// What the kernel of a TUN with offloads gives, cut; and packets, the segments among them, joined:
/// <code>
///   input    vnet header (10) │ maximum (2) │ length (2) │ super-packet │ packet …
///   packet   kind (1) │ length (2) │ bytes                kind: bit 0 its checksums are made right
/// </code>
/// A super-packet is refused with a reason or cut into packets that fit and whose payloads are its own. Packets are joined as the naive model joins them:
/// none is lost, none of a flow overtakes another, and cut again they are the packets they were.
/// </summary>
internal sealed class OffloadTarget : FuzzTarget
{
    private const int MostPackets = 48;
    private const int LargestPacket = 65_575;

    public override string Name => "offload";

    public override IEnumerable<byte[]> Seeds()
    {
        PacketShape[] shapes =
        [
            new() { Payload = new byte[100] },
            new() { Payload = new byte[90], TcpOptions = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2], Flags = 0x19 },
            new() { IsTcp = false, Payload = new byte[64] },
            new() { IsTcp = false, IsIPv6 = true, Payload = new byte[64] },
            new() { IsIPv6 = true, Payload = new byte[70], Flags = 0x90 },
            new() { IsIPv6 = true, ExtensionHeaders = [0, 60], Payload = new byte[50] },
            new() { IsIPv6 = true, ExtensionHeaders = [43], SegmentsLeft = 1, Payload = new byte[50] },
            new() { Options = [0x94, 4, 0, 0, 1, 1, 1, 0], DontFragment = false, Payload = new byte[60] },
        ];
        byte[] header = new byte[TunVnetHeader.Length];
        foreach (var shape in shapes)
        {
            byte[] packet = shape.BuildPartial(20, out var vnet);
            TunVnetHeader.Write(header, vnet);
            var next = shape with { Sequence = shape.Sequence + (uint)shape.Payload.Length, Identification = (ushort)(shape.Identification + 5), Payload = new byte[20] };
            yield return [.. header, .. Input.Word(1500), .. Input.Record(packet), 0, .. Input.Record(next.Build()), 1, .. Input.Record((next with { SourcePort = 1 }).Build())];
            TunVnetHeader.Write(header, vnet with { GsoType = GsoType.None, GsoSize = 0 });
            var segments = shape.Segment(16);
            yield return [.. header, .. Input.Word(1500), .. Input.Record(packet), .. segments.SelectMany(segment => (byte[])[0, .. Input.Record(segment.Build())])];
        }
    }

    public override void Run(ReadOnlySpan<byte> input)
    {
        var reader = new InputReader(input);
        byte[] raw = new byte[TunVnetHeader.Length];
        reader.Bytes(raw.Length).CopyTo(raw);
        TunVnetHeader.TryRead(raw, out var header);
        CheckHeader(header);
        int maximum = reader.Word();
        var bytes = reader.Record();
        byte[] super = bytes[..Math.Min(bytes.Length, LargestPacket)].ToArray();
        CheckPartialChecksum(super, header);
        var segments = Cut(super, header, maximum);

        // With the pseudo header's sum as the kernel has it, so that segments are intact and can be joined.
        var packets = segments.Count > 1 ? Cut(WithPseudoHeaderSum(super, header), header, maximum) : [];
        packets = [.. packets.Take(MostPackets)];
        while (!reader.IsAtEnd && packets.Count < MostPackets)
        {
            bool mend = (reader.Byte() & 1) != 0;
            byte[] packet = reader.Record().ToArray();
            packets.Add(mend ? Mended(packet) : packet);
        }

        Join(packets);
    }

    private static void CheckHeader(in VnetHeader header)
    {
        byte[] raw = new byte[TunVnetHeader.Length];
        TunVnetHeader.Write(raw, header);
        Invariant.Holds(TunVnetHeader.TryRead(raw, out var again) && again == header, "A vnet header does not come back as it was written.");
    }

    private static void CheckPartialChecksum(byte[] packet, in VnetHeader header)
    {
        bool expected = header.GsoType == GsoType.None && (!header.NeedsChecksum || header.ChecksumStart + header.ChecksumOffset + 2 <= packet.Length);
        byte[] completed = [.. packet];
        Invariant.Holds(PartialChecksum.TryComplete(completed, header) == expected, "A checksum is completed where it must not be, or not where it must.");
        if (expected && header.NeedsChecksum)
        {
            int field = header.ChecksumStart + header.ChecksumOffset;
            Invariant.Same(packet.AsSpan(0, field), completed.AsSpan(0, field), "What stands before a checksum");
            Invariant.Same(packet.AsSpan(field + 2), completed.AsSpan(field + 2), "What stands behind a checksum");
        }
    }

    private static List<byte[]> Cut(byte[] packet, in VnetHeader header, int maximum)
    {
        var segments = new List<byte[]>();
        if (!PacketSegmenter.TryCreate(packet, header, maximum, out var segmenter, out var refusal))
        {
            Invariant.Holds(refusal != SegmentationRefusal.None, "A super-packet is refused without a reason.");
            return segments;
        }

        Invariant.Holds(refusal == SegmentationRefusal.None, "A super-packet is cut with a reason not to.");
        byte[] buffer = new byte[segmenter.LargestLength];
        Invariant.Holds(header.GsoType == GsoType.UdpL4 || buffer.Length <= maximum, "Segments are longer than they may be.");
        int announced = segmenter.Count;
        while (segmenter.TryWriteNext(buffer, out int length))
        {
            Invariant.Holds(
                InnerPacketParser.TryParse(buffer.AsSpan(0, length), out var summary) && summary.TotalLength == length && !summary.IsFragment, "A segment is no packet.");
            segments.Add(buffer[..length]);
        }

        Invariant.Holds(segments.Count == announced, "Not as many segments as announced.");
        CheckPayloads(packet, segments);
        CheckSkip(packet, header, maximum, segments);
        return segments;
    }

    // All but one header are what the segments have more than the super-packet.
    private static void CheckPayloads(byte[] packet, List<byte[]> segments)
    {
        int more = segments.Sum(segment => segment.Length) - packet.Length;
        if (segments.Count == 1)
        {
            Invariant.Holds(more == 0, "The one segment has another length.");
            return;
        }

        int headers = more / (segments.Count - 1);
        Invariant.Holds(more == headers * (segments.Count - 1), "The lengths do not add up.");
        Invariant.Same(packet.AsSpan(headers), segments.SelectMany(segment => segment[headers..]).ToArray(), "The payloads");
    }

    private static void CheckSkip(byte[] packet, in VnetHeader header, int maximum, List<byte[]> segments)
    {
        PacketSegmenter.TryCreate(packet, header, maximum, out var segmenter, out _);
        int skipped = segments.Count / 2;
        segmenter.Skip(skipped);
        byte[] buffer = new byte[segmenter.LargestLength];
        segmenter.TryWriteNext(buffer, out int length);
        Invariant.Same(segments[skipped], buffer.AsSpan(0, length), "A segment behind those that were left out");
    }

    private static void Join(List<byte[]> packets)
    {
        if (packets.Count == 0)
        {
            return;
        }

        var model = new NaiveCoalescer();
        packets.ForEach(model.Add);
        var batch = new CoalescedBatch(new PacketCoalescer(packets.Count, joinUdp: true), packets);
        Invariant.Holds(Text(model.Runs) == Text(batch.Runs.Select(run => run.Packets)), $"Joined: {Text(batch.Runs.Select(run => run.Packets))}; by the model: {Text(model.Runs)}");
        Invariant.Holds(Enumerable.Range(0, packets.Count).SequenceEqual(batch.Runs.SelectMany(run => run.Packets).Order()), "A packet is lost or there twice.");
        foreach (var flow in batch.Runs.SelectMany(run => run.Packets).GroupBy(number => NaiveCoalescer.FlowOf(packets[number])))
        {
            Invariant.Holds(flow.Key is null || flow.SequenceEqual(flow.Order()), "A packet overtook another of its flow.");
        }

        foreach (var run in batch.Runs)
        {
            CheckRun(run, packets);
        }
    }

    private static void CheckRun(CoalescedBatch.Written run, List<byte[]> packets)
    {
        if (run.Packets.Count == 1)
        {
            Invariant.Holds(run.Header == default, "A packet alone has a vnet header that says more.");
            Invariant.Same(packets[run.Packets[0]], run.Bytes, "A packet alone");
            return;
        }

        Invariant.Holds(run.Bytes.Length <= ushort.MaxValue, "A super-packet is too long.");
        var segments = Cut(run.Bytes, run.Header, ushort.MaxValue);
        Invariant.Holds(segments.Count == run.Packets.Count, "Cut again, there is another number of packets.");
        for (int i = 0; i < segments.Count; i++)
        {
            byte[] original = packets[run.Packets[i]];
            byte[] segment = segments[i];

            // With DF the identification has no meaning (RFC 6864 §4.1) and a fixed one cannot be told to a TUN: it comes back counting.
            if (segment[0] >> 4 == 4 && (segment[6] & 0x40) != 0)
            {
                original.AsSpan(4, 2).CopyTo(segment.AsSpan(4));
                PacketWriter.WriteIPv4Checksum(segment.AsSpan(0, 20));
            }

            Invariant.Same(original, segment, "A packet that was joined and cut again");
        }
    }

    private static string Text(IEnumerable<List<int>> runs) => string.Join(" | ", runs.Select(run => string.Join(' ', run)));

    private static byte[] WithPseudoHeaderSum(byte[] super, in VnetHeader header)
    {
        byte[] packet = [.. super];
        Invariant.Holds(InnerPacketParser.TryParse(packet, out var summary), "What was cut is no packet.");
        ulong sum = InternetChecksum.SumPseudoHeader(summary.Source, summary.Destination, summary.Protocol, packet.Length - summary.HeaderLength);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(header.ChecksumStart + header.ChecksumOffset), InternetChecksum.Fold(sum));
        return packet;
    }

    private static byte[] Mended(byte[] packet)
    {
        if (!InnerPacketParser.TryParse(packet, out var summary) || summary.IsFragment)
        {
            return packet;
        }

        if (summary.Version == IpVersion.IPv4)
        {
            PacketWriter.WriteIPv4Checksum(packet.AsSpan(0, summary.HeaderLength));
        }

        var transport = packet.AsSpan(summary.HeaderLength, summary.TotalLength - summary.HeaderLength);
        int field = summary.Protocol == IpProtocol.Tcp ? 16 : 6;
        if (summary.Protocol is IpProtocol.Tcp or IpProtocol.Udp && transport.Length >= field + 2)
        {
            BinaryPrimitives.WriteUInt16BigEndian(transport[field..], 0);
            ulong sum = InternetChecksum.SumPseudoHeader(summary.Source, summary.Destination, summary.Protocol, transport.Length);
            ushort checksum = InternetChecksum.Finish(InternetChecksum.Sum(transport, sum));
            BinaryPrimitives.WriteUInt16BigEndian(transport[field..], checksum == 0 ? (ushort)0xFFFF : checksum);
        }

        return packet;
    }
}
