using Espalier.Benchmarks.Pipelines;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Benchmarks.Tests;

/// <summary>Each design seals what the other opens: Left.Tunnel ─▶ Left ══ ESP in UDP ══▶ Right ─▶ Right.Tunnel, and back.</summary>
public sealed class DesignTests
{
    private const int Patience = 10_000;

    public static TheoryData<bool, bool, PacketSize> Pairs =>
        new MatrixTheoryData<bool, bool, PacketSize>([true, false], [true, false], [new(64), new(1_400), new(9_000), PacketSize.Imix]);

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Designs_EitherWay_DeliverEachPacketUnchanged(bool pooledLeft, bool pooledRight, PacketSize size)
    {
        var (leftPlace, rightPlace) = HostPlace.CreatePair();
        using var left = Create(pooledLeft, leftPlace);
        using var right = Create(pooledRight, rightPlace);
        byte[][] packets = Workload.Create(size);
        AssertDelivers(left, right, packets);
        AssertDelivers(right, left, [.. packets.Select(Reverse)]);
    }

    [Fact]
    public void LibipsecStyle_Replay_IsDropped()
    {
        var (leftPlace, rightPlace) = HostPlace.CreatePair();
        using var right = new LibipsecStyleHost(rightPlace, CryptoEngine.System);
        byte[] packet = Seal(leftPlace, rightPlace);
        Receive(right, leftPlace, rightPlace, packet);
        Receive(right, leftPlace, rightPlace, packet);
        Assert.True(SpinWait.SpinUntil(() => right.Dropped == 1, Patience));
        Assert.Equal(1, right.Tunnel.Waiting);
    }

    [Fact]
    public void LibipsecStyle_WrongIcv_IsDropped()
    {
        var (leftPlace, rightPlace) = HostPlace.CreatePair();
        using var right = new LibipsecStyleHost(rightPlace, CryptoEngine.System);
        byte[] packet = Seal(leftPlace, rightPlace);
        packet[^1] ^= 1;
        Receive(right, leftPlace, rightPlace, packet);
        Assert.True(SpinWait.SpinUntil(() => right.Dropped == 1, Patience));
        Assert.Equal(0, right.Tunnel.Waiting);
    }

    private static ITunnelHost Create(bool pooled, HostPlace place) =>
        pooled ? new PooledHost(place, CryptoEngine.System) : new LibipsecStyleHost(place, CryptoEngine.System);

    private static void AssertDelivers(ITunnelHost from, ITunnelHost to, byte[][] packets)
    {
        byte[] buffer = new byte[10_000];
        foreach (byte[] packet in packets)
        {
            Assert.True(from.Tunnel.Inject(packet));
            from.RunOutbound();
            Assert.True(SpinWait.SpinUntil(
                () =>
                {
                    to.RunInbound();
                    return to.Tunnel.Waiting == 1;
                },
                Patience));
            Assert.True(to.Tunnel.TryTake(buffer, out int length));
            Assert.Equal(packet, buffer[..length]);
        }
    }

    private static byte[] Seal(HostPlace leftPlace, HostPlace rightPlace)
    {
        using var left = new PooledHost(leftPlace, CryptoEngine.System);
        Assert.True(left.Tunnel.Inject(Workload.Create(new PacketSize(64))[0]));
        left.RunOutbound();
        var batch = new Io.Batches.PacketBatch(1, 2_048, 0);
        Assert.Equal(1, rightPlace.Socket.Receive(batch));
        return batch.Packet(0).ToArray();
    }

    private static void Receive(LibipsecStyleHost host, HostPlace from, HostPlace to, byte[] packet)
    {
        Assert.True(to.Socket.Inject(packet, from.Own.Outer, HostPlace.Port, to.Own.Outer));
        host.RunInbound();
    }

    // Source and destination swapped: the checksums stay right.
    private static byte[] Reverse(byte[] packet) => [.. packet[..12], .. packet[16..20], .. packet[12..16], .. packet[20..]];
}
