using System.Buffers.Binary;
using Espalier.DataPlane.Outbound;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests;

/// <summary>
/// Several workers that seal one SA at once, through the real pipelines. Each has flows of its own, as the queues of a TUN give them, and is held up for
/// a random time between the numbering of a batch and its sending.
/// <code>
///   worker 0 ─┐
///   worker 1 ─┼─ SAs 0 … n−1 ─▶ what was sent, in order ─▶ Right, which opens it with windows of 32
///   worker 2 ─┘
/// </code>
/// </summary>
public sealed class SpreadTests
{
    private const int Workers = 4;
    private const int Window = 32;
    private const int FirstSpi = 0x3000;

    [Theory]
    [InlineData(1, 1, 0)]
    [InlineData(1, 2, 40)]
    [InlineData(1, 2, 1_000_000)]
    [InlineData(3, 3, 0)]
    [InlineData(3, 3, 1_000_000)]
    [InlineData(7, 4, 40)]
    public void Workers_RandomBatchesAndDelays_EveryNumberOnceAndNothingLeftOfTheWindow(int associations, int seed, int alone)
    {
        using var pair = Create(associations, new TunnelSettings { Window = Window }, Delays(seed));
        for (uint i = 0; i < associations; i++)
        {
            Sa(pair.Left, i).RunsAlone = (uint)alone;
        }

        int[] counts = Run(pair, associations, rounds: 120, seed);

        var sent = pair.Left.Network.Sent.GroupBy(packet => Spi(packet.Packet)).ToDictionary(group => group.Key, group => group.Select(one => one.Packet).ToList());
        Assert.Equal(counts.Sum(), sent.Values.Sum(packets => packets.Count));
        foreach (var (spi, packets) in sent)
        {
            Assert.Equal(counts[spi - FirstSpi], packets.Count);
            Assert.Equal(Enumerable.Range(1, packets.Count).Select(number => (uint)number), packets.Select(Number).Order());
            Assert.Empty(RefusedByNaiveWindow(packets.Select(Number)));

            // RFC 4106 §3.1: never the same IV twice under one key. Number XOR salt, and one salt for all workers.
            Assert.Single(packets.Select(packet => BinaryPrimitives.ReadUInt64BigEndian(packet.AsSpan(8)) ^ Number(packet)).Distinct());
        }

        CheckReceiver(pair, counts.Sum());
    }

    // Processors that are too few all the time: the longer it lasts, the longer an SA is left to one worker at a time.
    [Fact]
    public void LongWaits_InARow_LeaveTheSaToOneWorkerForLongerAndLonger_AndOneLongAfterForAShortTime()
    {
        var association = new SecurityAssociation { Id = new SaIdentity(new Spi(FirstSpi), InternetAddress.Parse("192.0.2.2")), Source = InternetAddress.Parse("192.0.2.1"), RunsTaken = uint.MaxValue - 100 };
        var lengths = new List<uint>();
        for (int i = 0; i < 7; i++)
        {
            SpreadStage.NoteLongWait(association);
            lengths.Add(association.RunsAlone);

            // Another that waited at the same time changes nothing.
            SpreadStage.NoteLongWait(association);
            association.RunsTaken += association.RunsAlone + 100;
            association.RunsAlone = 0;
        }

        Assert.Equal([1 << 10, 1 << 13, 1 << 16, 1 << 19, 1 << 22, 1 << 22, 1 << 22], lengths);
        association.RunsTaken += 1 << 18;
        SpreadStage.NoteLongWait(association);
        Assert.Equal(1024u, association.RunsAlone);
    }

    // Worker 0 takes numbers 1 to 3 and is held up; worker 1 takes the next three, is ready to send, and must wait.
    [Fact]
    public void Worker_HeldUpBeforeItSends_TheOthersWaitForIt()
    {
        using var numbered = new ManualResetEventSlim();
        using var others = new ManualResetEventSlim();
        using var pair = Create(1, new TunnelSettings { Window = Window }, worker =>
        {
            if (worker == 0)
            {
                numbered.Set();
                others.Wait(TestContext.Current.CancellationToken);
            }
            else
            {
                others.Set();
            }
        });
        var first = new Thread(() => Process(pair, Pipeline(pair, 0), Batch(pair, 0, 3)));
        var second = new Thread(() => Process(pair, Pipeline(pair, 1), Batch(pair, 1, 3)));
        first.Start();
        numbered.Wait(TestContext.Current.CancellationToken);
        second.Start();
        first.Join();
        second.Join();
        Assert.Equal([1, 2, 3, 4, 5, 6], pair.Left.Network.Sent.Select(sent => Number(sent.Packet)));
    }

    [Theory]
    [InlineData(100, ulong.MaxValue)]
    [InlineData(ulong.MaxValue, 100 * 92)]
    public void Limits_OfPacketsOrBytes_AreMetExactlyAndToldOnce(ulong packets, ulong bytes)
    {
        var limits = LifetimeLimits.None with
        {
            HardPackets = packets,
            HardBytes = bytes,
            SoftPackets = packets == ulong.MaxValue ? packets : packets / 2,
            SoftBytes = bytes == ulong.MaxValue ? bytes : bytes / 2,
        };
        using var pair = Create(1, new TunnelSettings { Window = Window, Limits = limits }, Delays(5));
        int count = Run(pair, 1, rounds: 30, seed: 5)[0];
        Assert.Equal(100, pair.Left.Network.Sent.Count);

        // What comes when the SA has expired finds none.
        Assert.Equal(count - 100, pair.Left.Counters.Read(DropReason.OutboundSaExpired) + pair.Left.Counters.Read(DropReason.OutboundNoSa));
        Assert.Equal(
            [IpsecEventKind.SoftExpired, IpsecEventKind.HardExpired],
            pair.Left.TakeEvents().Select(told => told.Kind).Where(kind => kind != IpsecEventKind.Acquire));
        var sa = Sa(pair.Left, 0);
        Assert.Equal((100ul, 100ul * 92), (sa.Usage.Packets, sa.Usage.Bytes));
        Assert.Empty(RefusedByNaiveWindow(pair.Left.Network.Sent.Select(sent => Number(sent.Packet))));
    }

    // RFC 4303 §3.3.3: the number never cycles.
    [Fact]
    public void Numbers_AtTheirEnd_AreUsedToTheLastAndNotBeyond()
    {
        using var pair = Create(1, new TunnelSettings { Window = Window }, Delays(6));
        Sa(pair.Left, 0).OutboundSequence = uint.MaxValue - 50;
        int count = Run(pair, 1, rounds: 30, seed: 6)[0];
        Assert.Equal(Enumerable.Range(0, 50).Select(i => uint.MaxValue - 49 + (uint)i), pair.Left.Network.Sent.Select(sent => Number(sent.Packet)));
        Assert.Equal(count - 50, pair.Left.Counters.Read(DropReason.OutboundSequenceExhausted));
        Assert.Equal(uint.MaxValue, Sa(pair.Left, 0).OutboundSequence);
    }

    // RFC 4303 §2.2.1: the high half is not sent but authenticated.
    [Fact]
    public void Numbers_EsnAcross32Bits_AreOpenedByThePeer()
    {
        using var pair = Create(1, new TunnelSettings { Window = Window, Flags = SaFlags.Esn | SaFlags.AfUnspec }, Delays(7));
        ulong start = (1UL << 32) - 500;
        Sa(pair.Left, 0).OutboundSequence = start;
        Sa(pair.Right, 0).Replay!.Restore(start, new uint[1]);
        int count = Run(pair, 1, rounds: 60, seed: 7)[0];
        Assert.True(count > 1000);
        Assert.Equal(start + (ulong)count, Sa(pair.Left, 0).OutboundSequence);
        CheckReceiver(pair, count);
    }

    // 10.1.n.0/24 → 10.2.n.0/24 by SA n.
    private static Pair Create(int associations, TunnelSettings settings, Action<int> delay)
    {
        var pair = new Pair(settings, policies: false, poolBatches: 12, queueLength: 64, leftWorkers: Workers);
        for (uint i = 0; i < associations; i++)
        {
            var own = settings with { ReqId = i + 100 };
            foreach (var host in new[] { pair.Left, pair.Right })
            {
                Pair.Add(host, own, FirstSpi + i, pair.LeftOuter, pair.RightOuter, host == pair.Left ? delay : null);
            }

            var template = pair.Template(pair.LeftOuter, pair.RightOuter, own.ReqId);
            Pair.AddPolicy(pair.Left, Pair.Policy($"10.1.{i}.0/24", $"10.2.{i}.0/24", PolicyDirection.Out, template));
            Pair.AddPolicy(pair.Right, Pair.Policy($"10.1.{i}.0/24", $"10.2.{i}.0/24", PolicyDirection.Forward, template));
        }

        pair.Left.Network.Peer = null;
        return pair;
    }

    private static SecurityAssociation Sa(TestHost host, uint index) =>
        host.Database.Sad.Find(new SaIdentity(new Spi(FirstSpi + index), InternetAddress.Parse("192.0.2.2")))!;

    private static Action<int> Delays(int seed)
    {
        var randoms = Enumerable.Range(0, Workers).Select(worker => new Random((seed * Workers) + worker)).ToArray();
        return worker =>
        {
            switch (randoms[worker].Next(8))
            {
                case 0: Thread.Sleep(1); break;
                case < 4: Thread.Yield(); break;
                default: Thread.SpinWait(randoms[worker].Next(2000)); break;
            }
        };
    }

    private static OutboundPipeline Pipeline(Pair pair, int worker) => new(
        pair.Left.Environment with { Worker = worker, WorkerCount = Workers, Spread = true }, pair.Left.Counters.Add($"worker {worker}"));

    /// <summary>Packets made, by SA. A packet's source port is its worker; its payload tells its place among those of its worker and SA.</summary>
    private static int[] Run(Pair pair, int associations, int rounds, int seed)
    {
        int[,] counts = new int[Workers, associations];
        var pipelines = Enumerable.Range(0, Workers).Select(worker => Pipeline(pair, worker)).ToArray();
        var threads = Enumerable.Range(0, Workers).Select(worker => new Thread(() =>
        {
            var random = new Random(seed + worker);
            var batch = pair.Left.Pool.Get();
            for (int round = 0; round < rounds; round++)
            {
                batch.Clear();
                for (int i = random.Next(1, batch.Capacity + 1); i > 0; i--)
                {
                    int association = random.Next(associations);
                    Add(batch, worker, association, counts[worker, association]++);
                }

                pipelines[worker].Process(batch);
            }

            pair.Left.Pool.Return(batch);
        })).ToList();
        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        return [.. Enumerable.Range(0, associations).Select(sa => Enumerable.Range(0, Workers).Sum(worker => counts[worker, sa]))];
    }

    private static PacketBatch Batch(Pair pair, int worker, int count)
    {
        var batch = pair.Left.Pool.Get();
        for (int i = 0; i < count; i++)
        {
            Add(batch, worker, 0, i);
        }

        return batch;
    }

    private static void Process(Pair pair, OutboundPipeline pipeline, PacketBatch batch)
    {
        pipeline.Process(batch);
        pair.Left.Pool.Return(batch);
    }

    private static void Add(PacketBatch batch, int worker, int association, int place)
    {
        byte[] packet = Packets.Udp($"10.1.{association}.9", $"10.2.{association}.9", payload: 64, sourcePort: (ushort)(1000 + worker));
        BinaryPrimitives.WriteInt32BigEndian(packet.AsSpan(28), place);
        int index = batch.Count++;
        int offset = batch.SlotStart(index) + batch.Headroom;
        packet.CopyTo(batch.Buffer.AsSpan(offset));
        batch[index] = new PacketSlot { Offset = offset, Length = packet.Length };
    }

    // The peer opens all, and each flow is in order.
    private static void CheckReceiver(Pair pair, int count)
    {
        foreach (var sent in pair.Left.Network.Sent)
        {
            pair.Inject(sent.Packet);
        }

        Assert.Equal(count, pair.Right.Tunnel.Written.Count);
        Assert.Equal(0, pair.Left.Counters.Snapshot().TotalDrops + pair.Right.Counters.Snapshot().TotalDrops);
        foreach (var flow in pair.Right.Tunnel.Written.GroupBy(packet => (packet[14], Packets.Parse(packet).SourcePort)))
        {
            Assert.Equal(Enumerable.Range(0, flow.Count()), flow.Select(packet => BinaryPrimitives.ReadInt32BigEndian(packet.AsSpan(28))));
        }
    }

    // RFC 4303 §3.4.3, as plainly as it can be said.
    private static List<uint> RefusedByNaiveWindow(IEnumerable<uint> numbers)
    {
        var seen = new HashSet<uint>();
        uint highest = 0;
        var refused = new List<uint>();
        foreach (uint number in numbers)
        {
            if ((long)number <= (long)highest - Window || !seen.Add(number))
            {
                refused.Add(number);
            }

            highest = Math.Max(highest, number);
        }

        return refused;
    }

    private static uint Spi(byte[] packet) => BinaryPrimitives.ReadUInt32BigEndian(packet);

    private static uint Number(byte[] packet) => BinaryPrimitives.ReadUInt32BigEndian(packet.AsSpan(4));
}
