using Espalier.Io.Batches;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Benchmarks.Pipelines;

/// <summary>Gives a host packets on one side and waits until all have come out on the other.</summary>
internal sealed class PipelineRun : IDisposable
{
    // A packet that was dropped would be waited for in vain.
    private const int EmptyTurnsAllowed = 50_000_000;
    private readonly HostPlace _left, _right;
    private readonly ITunnelHost _sender, _receiver;
    private readonly byte[][] _packets;
    private readonly byte[][] _sealed;
    private readonly byte[] _scratch = new byte[10_240];
    private readonly PacketBatch _arrived = new(64, 10_240, 0);

    internal PipelineRun(Func<HostPlace, ITunnelHost> create, CryptoEngine engine, byte[][] packets)
    {
        (_left, _right) = HostPlace.CreatePair();
        (_sender, _receiver) = (create(_left), create(_right));
        _packets = packets;
        _sealed = Seal(engine, packets);
    }

    /// <summary>From the TUN of the sending host to its peer's socket.</summary>
    internal void Outbound()
    {
        foreach (byte[] packet in _packets)
        {
            _sender.Tunnel.Inject(packet);
        }

        _sender.RunOutbound();
        WaitFor(_packets.Length, this, static run => run._right.Socket.Receive(run._arrived));
    }

    /// <summary>From the socket of the receiving host to its TUN.</summary>
    internal void Inbound()
    {
        _receiver.ForgetReceived();
        foreach (byte[] packet in _sealed)
        {
            _right.Socket.Inject(packet, _left.Own.Outer, HostPlace.Port, _right.Own.Outer);
        }

        _receiver.RunInbound();
        WaitFor(_sealed.Length, this, static run => run._receiver.Tunnel.TryTake(run._scratch, out _) ? 1 : 0);
    }

    public void Dispose()
    {
        _sender.Dispose();
        _receiver.Dispose();
    }

    private static byte[][] Seal(CryptoEngine engine, byte[][] packets)
    {
        var (left, right) = HostPlace.CreatePair();
        using var host = new PooledHost(left, engine);
        var result = new List<byte[]>();
        var batch = new PacketBatch(1, 10_240, 0);
        foreach (byte[] packet in packets)
        {
            host.Tunnel.Inject(packet);
            host.RunOutbound();
            result.Add(right.Socket.Receive(batch) == 1 ? batch.Packet(0).ToArray() : throw new InvalidOperationException("not sealed"));
        }

        return [.. result];
    }

    private static void WaitFor(int packets, PipelineRun run, Func<PipelineRun, int> take)
    {
        var spinner = new SpinWait();
        int emptyTurns = 0;
        for (int taken = 0; taken < packets;)
        {
            int now = take(run);
            taken += now;
            if (now > 0)
            {
                continue;
            }

            if (++emptyTurns == EmptyTurnsAllowed)
            {
                throw new InvalidOperationException($"{packets - taken} of {packets} packets were lost");
            }

            spinner.SpinOnce(sleep1Threshold: -1);
        }
    }
}
