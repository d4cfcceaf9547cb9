using Espalier.DataPlane.Tests.Harness;
using Espalier.Io.Batches;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Tests;

/// <summary>No allocation per valid packet in steady state, in either direction, measured on the thread that does the work.</summary>
[Collection(nameof(AllocationCollection))]
public sealed class AllocationTests
{
    // Suites without an allocation, and how many packets each way. AES-GCM is the default and gets the full million.
    public static TheoryData<string, bool, int> Clean
    {
        get
        {
            var data = new TheoryData<string, bool, int>();
            data.Add("aes128gcm16", false, 1_000_000);
            data.Add("aes256gcm12", true, 1_000_000);
            data.Add("chacha20poly1305", false, 100_000);
            data.Add("aes128gmac", true, 100_000);
            data.Add("aes128-sha256", false, 100_000);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Clean))]
    public void ValidPackets_BothWays_AllocateNothing(string suite, bool outerIPv6, int count)
    {
        using var pair = new Pair(new TunnelSettings { Suite = Suite.All.Single(one => one.Name == suite), OuterIPv6 = outerIPv6 });
        Stop(pair);
        byte[] packet = Packets.Udp("10.1.0.1", "10.2.0.1", payload: 64);
        using var loop = new Loop(pair, packet);
        loop.Run(2_000);
        Assert.Equal(0, Allocated(() => loop.Run(count)));
        Assert.True(pair.Right.Tunnel.WrittenCount >= count + 2_000);
        Assert.Equal(0, pair.Left.Counters.Snapshot().TotalDrops + pair.Right.Counters.Snapshot().TotalDrops);
    }

    // The fixed tables (fragments, rate limits, loop detector) are used up to their limits and beyond; still nothing is allocated.
    [Fact]
    public void UnusualPackets_BothWays_AllocateNothing()
    {
        using var pair = new Pair(defaultPathMtu: 1000);
        Stop(pair);
        byte[][] packets =
        [
            Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 2000, dontFragment: false),
            Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 2000),
            Packets.UdpOfLength("fd01::1", "fd02::1", 1400),
            Packets.Udp("10.1.0.1", "10.2.0.1")[..19],
            DropScenarios.LaterFragment("10.1.0.1", "10.2.0.1"),
        ];
        pair.Left.Icmp.Refusal = 1;
        foreach (byte[] packet in packets)
        {
            using var loop = new Loop(pair, packet);
            loop.Run(320);
            Assert.Equal(0, Allocated(() => loop.Run(3_200)));
        }
    }

    // What costs nothing to refuse must not cost memory either: everything but a wrong ICV, which a library may report by throwing.
    [Fact]
    public void HostilePackets_OfEachKind_AllocateNothing()
    {
        using var pair = new Pair();
        Stop(pair);
        byte[] valid = Forge.Seal(Suite.Gcm, Pair.LeftToRight, 1, Packets.Udp("10.1.0.1", "10.2.0.1"), 4);
        pair.Inject(valid);
        byte[][] packets =
        [
            valid, [0xFF], [], [1, 2, 3], new byte[40], [0, 0, 9, 9, 0, 0, 0, 1, 0, 0], valid[..^1],
        ];
        foreach (byte[] packet in packets)
        {
            Flood(pair, packet, 10);
            Assert.InRange(Allocated(() => Flood(pair, packet, 1_000)), 0, FloodOverhead);
        }
    }

    // AesGcm reports a wrong ICV only by throwing. That garbage is short-lived: what stays does not grow.
    [Fact]
    public void ForgedPackets_AFlood_LeaveNothingBehind()
    {
        using var pair = new Pair();
        byte[] forged = pair.Capture(Packets.Udp("10.1.0.1", "10.2.0.1"));
        Stop(pair);
        forged[^1] ^= 1;
        Flood(pair, forged, 100);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        Flood(pair, forged, 1_000);
        long after = GC.GetTotalMemory(forceFullCollection: true);
        Assert.InRange(after - before, long.MinValue, 256 * 1024);
        Assert.Equal(1_100 * 32, pair.Right.Counters.Read(DropReason.InboundIntegrityFailure));
        Assert.Equal(1_100UL * 32, pair.RightIn.IntegrityFailures);
        Assert.Equal(0u, pair.RightIn.Usage.Packets);
        Assert.Equal(0u, pair.RightIn.Replay!.Highest);
    }

    // The JIT allocates on our thread when it compiles a method anew, whenever it sees fit: what a run allocates is what it allocates when that did not happen.
    private static long Allocated(Action run)
    {
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 3 && least != 0; attempt++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            run();
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        return least;
    }

    // What the harness itself allocates for a flood, however long.
    private const int FloodOverhead = 1024;

    private static void Flood(Pair pair, byte[] packet, int batches)
    {
        var about = new PacketSlot { Remote = pair.LeftOuter, RemotePort = 4500, Local = pair.RightOuter };
        var socket = pair.RightSocket;
        var batch = pair.Right.Pool.Get();
        for (int i = 0; i < batches; i++)
        {
            Fill(batch, packet, about);
            pair.Right.Inbound.Process(batch, socket);
        }

        pair.Right.Pool.Return(batch);
    }

    private static void Fill(PacketBatch batch, byte[] packet, PacketSlot about = default)
    {
        batch.Count = batch.Capacity;
        for (int i = 0; i < batch.Capacity; i++)
        {
            batch[i] = about with { Offset = batch.SlotStart(i) + batch.Headroom, Length = packet.Length };
            packet.CopyTo(batch.Packet(i));
        }
    }

    private static void Stop(Pair pair)
    {
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            host.Network.Record = false;
            host.Tunnel.Record = false;
        }
    }

    /// <summary>Batches of one packet from Left's TUN to Right's.</summary>
    private sealed class Loop(Pair pair, byte[] packet) : IDisposable
    {
        private readonly TestOuterSocket _socket = pair.RightSocket;
        private readonly PacketBatch _outbound = pair.Left.Pool.Get();
        private readonly PacketBatch _inbound = pair.Right.Pool.Get();

        public void Run(int packets)
        {
            for (int sent = 0; sent < packets; sent += _outbound.Capacity)
            {
                Fill(_outbound, packet);
                pair.Left.Outbound.Process(_outbound);
                while (_socket.Receive(_inbound) > 0)
                {
                    pair.Right.Inbound.Process(_inbound, _socket);
                }
            }
        }

        public void Dispose()
        {
            pair.Right.Pool.Return(_inbound);
            pair.Left.Pool.Return(_outbound);
        }
    }
}
