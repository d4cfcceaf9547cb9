using Espalier.Testing;
using Espalier.Wire.Coalescing;
using Espalier.Wire.Offload;
using Espalier.Wire.Tests.Offload;

namespace Espalier.Wire.Tests.Coalescing;

/// <summary>Each rule by itself. That the rules are the kernel's, KernelCoalescingTests of Espalier.Io.Tests shows.</summary>
[Collection(nameof(AllocationCollection))]
public sealed class PacketCoalescerTests
{
    private static readonly PacketShape s_tcp = new() { Payload = new byte[10], TcpOptions = Shapes.Timestamps };
    private static readonly PacketShape s_udp = new() { IsTcp = false, Payload = new byte[10] };

    /// <summary>What the second of two packets may differ in; each name is one row of the table in docs/packets.md.</summary>
    public static TheoryData<string, bool> Differences => new()
    {
        { "nothing", true },
        { "shorter", true },
        { "longer", false },
        { "empty", false },
        { "sequence", false },
        { "acknowledgment", false },
        { "window", false },
        { "urgent pointer", false },
        { "PSH", true },
        { "FIN", true },
        { "ECE", false },
        { "CWR", false },
        { "URG", false },
        { "RST", false },
        { "SYN", false },
        { "timestamp", false },
        { "fewer options", false },
        { "ECN", false },
        { "TTL", false },
        { "DF", false },
        { "identification", false },
        { "ports", false },
        { "addresses", false },
        { "IPv4 options", false },
    };

    [Theory]
    [MemberData(nameof(Differences))]
    public void TryAdd_SecondSegmentThatDiffers_JoinsOrNot(string difference, bool joins)
    {
        var second = After(s_tcp);
        second = difference switch
        {
            "shorter" => second with { Payload = new byte[9] },
            "longer" => second with { Payload = new byte[11] },
            "empty" => second with { Payload = [] },
            "sequence" => second with { Sequence = second.Sequence + 1 },
            "acknowledgment" => second with { Acknowledgment = 1 },
            "window" => second with { Window = 1 },
            "urgent pointer" => second with { UrgentPointer = 1 },
            "PSH" => second with { Flags = 0x18 },
            "FIN" => second with { Flags = 0x11 },
            "ECE" => second with { Flags = 0x50 },
            "CWR" => second with { Flags = 0x90 },
            "URG" => second with { Flags = 0x30 },
            "RST" => second with { Flags = 0x14 },
            "SYN" => second with { Flags = 0x12 },
            "timestamp" => second with { TcpOptions = [.. Shapes.Timestamps[..^1], 9] },
            "fewer options" => second with { TcpOptions = [] },
            "ECN" => second with { TrafficClass = 3 },
            "TTL" => second with { TimeToLive = 63 },
            "DF" => second with { DontFragment = false },
            "identification" => second with { Identification = 7 },
            "ports" => second with { DestinationPort = 80 },
            "addresses" => second with { Hosts = 2 },
            "IPv4 options" => second with { Options = [1, 1, 1, 1] },
            _ => second,
        };
        Assert.Equal(joins ? "0 1" : "0 | 1", Runs(s_tcp, second));
    }

    [Theory]
    [InlineData("traffic class", false)]
    [InlineData("hop limit", false)]
    [InlineData("flow label", false)]
    [InlineData("extension headers", false)]
    [InlineData("identification", true)]
    public void TryAdd_SecondOverIPv6ThatDiffers_JoinsOrNot(string difference, bool joins)
    {
        var first = s_tcp with { IsIPv6 = true, ExtensionHeaders = [0, 60] };
        var second = difference switch
        {
            "traffic class" => After(first) with { TrafficClass = 1 },
            "hop limit" => After(first) with { TimeToLive = 63 },
            "flow label" => After(first) with { FlowLabel = 1 },
            "extension headers" => After(first) with { ExtensionHeaders = [60, 60] },
            _ => After(first),
        };
        Assert.Equal(joins ? "0 1" : "0 | 1", Runs(first, second));
    }

    // With DF: all one more, or all the same; without: one more. RFC 6864 §4.1: with DF it has no meaning.
    [Theory]
    [InlineData(true, 1, 2, "0 1 2")]
    [InlineData(true, 0, 0, "0 1 2")]
    [InlineData(true, 0, 1, "0 1 | 2")]
    [InlineData(true, 1, 1, "0 1 | 2")]
    [InlineData(true, 1, 3, "0 1 | 2")]
    [InlineData(false, 1, 2, "0 1 2")]
    [InlineData(false, 0, 0, "0 | 1 | 2")]
    [InlineData(false, 1, 1, "0 1 | 2")]
    public void TryAdd_Identifications_CountOrStayWithDf(bool dontFragment, int second, int third, string runs)
    {
        const ushort First = 0xFFFF;
        var shape = s_udp with { DontFragment = dontFragment, Identification = First };
        Assert.Equal(runs, Runs(shape, shape with { Identification = (ushort)(First + second) }, shape with { Identification = (ushort)(First + third) }));
    }

    [Fact]
    public void TryAdd_AfterShorterPshOrFin_BeginsAnew()
    {
        foreach (var second in new[] { After(s_tcp) with { Payload = new byte[9] }, After(s_tcp) with { Flags = 0x18 }, After(s_tcp) with { Flags = 0x11 } })
        {
            Assert.Equal("0 1 | 2 3", Runs(s_tcp, second, After(second) with { Flags = 0x10 }, After(After(second)) with { Flags = 0x10 }));
        }

        var shorter = After(s_udp) with { Payload = [1] };
        Assert.Equal("0 1 | 2 3", Runs(s_udp, shorter, After(shorter), After(After(shorter))));
    }

    [Fact]
    public void TryAdd_LongerDatagram_BeginsAnew() =>
        Assert.Equal("0 | 1 2", Runs(s_udp, After(s_udp) with { Payload = new byte[11] }, After(After(s_udp)) with { Payload = new byte[11] }));

    [Fact]
    public void TryAdd_Fragment_EndsAllRuns()
    {
        byte[] fragment = s_udp.Build();
        fragment[6] |= 0x20;
        Assert.Equal("0 | 1 | 2", Runs(s_udp.Build(), fragment, After(s_udp).Build()));
        var first6 = s_udp with { IsIPv6 = true };
        byte[] fragment6 = (first6 with { ExtensionHeaders = [44] }).Build();
        Assert.Equal("0 | 1 | 2", Runs(first6.Build(), fragment6, After(first6).Build()));
    }

    [Fact]
    public void TryAdd_OtherProtocolAndOtherFlows_LeaveARunOpen()
    {
        byte[] icmp = s_udp.Build();
        icmp[9] = 1;
        Assert.Equal("0 4 | 1 3 | 2", Runs(s_udp.Build(), s_tcp.Build(), icmp, After(s_tcp).Build(), After(s_udp).Build()));
    }

    [Fact]
    public void TryAdd_WrongChecksum_GoesOnAloneAndUnchanged()
    {
        foreach (var shape in new[] { s_tcp, s_udp, s_tcp with { IsIPv6 = true }, s_udp with { IsIPv6 = true } })
        {
            PacketShape[] shapes = [shape, After(shape), After(After(shape)), After(After(After(shape)))];
            for (int bad = 0; bad < shapes.Length; bad++)
            {
                byte[][] packets = [.. shapes.Select(each => each.Build())];
                packets[bad][^1] ^= 1;
                var batch = new CoalescedBatch(new PacketCoalescer(4, joinUdp: true), packets);
                var alone = Assert.Single(batch.Runs, run => run.Packets.Contains(bad));
                Assert.Equal([bad], alone.Packets);
                Assert.Equal(packets[bad], alone.Bytes);
                Assert.Equal(default, alone.Header);
                Assert.Equal(bad is 0 or 3 ? 2 : 3, batch.Runs.Count);
            }
        }
    }

    [Fact]
    public void TryAdd_UdpWithoutChecksum_GoesOnAlone()
    {
        byte[] first = s_udp.Build();
        byte[] second = After(s_udp).Build();
        first.AsSpan(26, 2).Clear();
        second.AsSpan(26, 2).Clear();
        Assert.Equal("0 | 1", Runs(first, second));
    }

    [Fact]
    public void TryAdd_UdpNotToBeJoined_GoesOnAlone()
    {
        var batch = new CoalescedBatch(new PacketCoalescer(4, joinUdp: false), [s_udp.Build(), After(s_udp).Build(), s_tcp.Build(), After(s_tcp).Build()]);
        Assert.Equal([[0], [1], [2, 3]], batch.Runs.Select(run => run.Packets));
    }

    [Fact]
    public void TryAdd_ManyDatagrams_MakeRunsOf64()
    {
        var shapes = new List<PacketShape> { s_udp };
        while (shapes.Count < 130)
        {
            shapes.Add(After(shapes[^1]));
        }

        var batch = new CoalescedBatch(new PacketCoalescer(130, joinUdp: true), [.. shapes.Select(shape => shape.Build())]);
        Assert.Equal([64, 64, 2], batch.Runs.Select(run => run.Packets.Count));
    }

    // 40 + 4 * 16,000 + 1,495 = 65,535: the largest packet there is (the kernel's GRO_LEGACY_MAX_SIZE).
    [Theory]
    [InlineData(1495, "0 1 2 3 4")]
    [InlineData(1496, "0 1 2 3 | 4")]
    public void TryAdd_LargestPacket_IsNotExceeded(int last, string runs)
    {
        var shape = new PacketShape { Payload = new byte[16_000] };
        var second = After(shape);
        var third = After(second);
        var fourth = After(third);
        Assert.Equal(runs, Runs(shape, second, third, fourth, After(fourth) with { Payload = new byte[last] }));
    }

    // A ninth flow ends the run of the first, which then begins anew and ends the second's.
    [Fact]
    public void TryAdd_NinthFlow_EndsTheOldestRun()
    {
        PacketShape[] flows = [.. Enumerable.Range(0, 9).Select(i => s_udp with { SourcePort = (ushort)i })];
        Assert.Equal("0 | 1 | 2 10 | 3 | 4 | 5 | 6 | 7 | 8 | 9", Runs([.. flows, After(flows[0]), After(flows[2])]));
    }

    [Fact]
    public void TryAdd_CapacityReached_IsRefused()
    {
        var coalescer = new PacketCoalescer(1, joinUdp: true);
        byte[] packet = s_tcp.Build();
        Assert.True(coalescer.TryAdd(packet, 0, packet.Length));
        Assert.False(coalescer.TryAdd(packet, 0, packet.Length));
        Assert.Equal(1, coalescer.Count);
        coalescer.Clear();
        Assert.Equal(0, coalescer.Count);
        Assert.True(coalescer.TryAdd(packet, 0, 0));
    }

    [Fact]
    public void Complete_Run_HasTheHeaderOfTheWhole()
    {
        var last = After(s_tcp) with { Flags = 0x19, Payload = [1, 2, 3] };
        var run = Assert.Single(new CoalescedBatch(new PacketCoalescer(2, joinUdp: true), [s_tcp.Build(), last.Build()]).Runs);
        byte[] expected = (s_tcp with { Flags = 0x19, Payload = [.. s_tcp.Payload, 1, 2, 3] }).BuildPartial(10, out var header);
        Assert.Equal(expected, run.Bytes);
        Assert.Equal(header, run.Header);
        Assert.Equal(
            new VnetHeader { NeedsChecksum = true, GsoType = GsoType.TcpV4, HeaderLength = 52, GsoSize = 10, ChecksumStart = 20, ChecksumOffset = 16 }, header);
    }

    [Fact]
    public void TryAdd_Batches_AllocateNothing()
    {
        const int Packets = 46;
        var coalescer = new PacketCoalescer(Packets, joinUdp: true);
        var shape = s_tcp with { Payload = new byte[1388] };
        var packets = new List<byte[]>();
        for (int i = 0; i < Packets; i++)
        {
            packets.Add(shape.Build());
            shape = After(shape);
        }

        byte[] original = [.. packets.SelectMany(packet => packet)];
        byte[] buffer = new byte[original.Length];
        var ranges = new PacketRange[Packets];
        Run();
        int written = 0, rounds = 0;
        long allocated = Allocation.Least(() =>
        {
            rounds++;
            for (int i = 0; i < 100; i++)
            {
                written += Run();
            }
        });

        Assert.Equal(0, allocated);
        Assert.Equal(4600 * rounds, written);

        int Run()
        {
            original.CopyTo(buffer, 0);
            coalescer.Clear();
            for (int i = 0; i < Packets; i++)
            {
                coalescer.TryAdd(buffer, i * 1440, 1440);
            }

            return coalescer.Complete(0, buffer, ranges, out _);
        }
    }

    /// <summary>The next packet of the flow.</summary>
    private static PacketShape After(PacketShape shape) => shape with
    {
        Sequence = shape.Sequence + (uint)shape.Payload.Length,
        Identification = (ushort)(shape.Identification + 1),
    };

    private static string Runs(params PacketShape[] shapes) => Runs([.. shapes.Select(shape => shape.Build())]);

    private static string Runs(params byte[][] packets) =>
        string.Join(" | ", new CoalescedBatch(new PacketCoalescer(packets.Length, joinUdp: true), packets).Runs.Select(run => string.Join(' ', run.Packets)));
}
