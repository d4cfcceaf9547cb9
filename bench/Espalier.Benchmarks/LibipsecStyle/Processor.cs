using Espalier.Io.Batches;
using Espalier.Io.InMemory;

namespace Espalier.Benchmarks.LibipsecStyle;

/// <summary>
/// The design of strongSwan's kernel-libipsec and libipsec, rebuilt: what it does per packet, not its code.
/// <code>
///   outbound  caller: TUN read, copy ─▶ unbounded queue ─▶ encrypt thread: policy, SA, seal into a new buffer ─▶ unbounded queue ─▶ sender thread: send
///   inbound   caller: receive, copy ─▶ unbounded queue ─▶ decrypt thread: SA, open into a new buffer, policy, TUN write
/// </code>
/// The reading side is kernel_libipsec_router's (outbound) and receiver_t's (inbound); the two threads are ipsec_processor_t's; the last queue and thread are
/// charon's sender_t. One packet a call on every device. Simplified to libipsec's advantage: no host_t for either end of the UDP header beyond one each,
/// no log calls, no reader and writer objects, no reference counts, and memory comes from a collector's bump allocator instead of malloc. To its
/// disadvantage: opening copies the ciphertext first, because engines open in place.
/// </summary>
internal sealed class Processor : IDisposable
{
    private readonly BlockingQueue<IpPacket> _outbound = new();
    private readonly BlockingQueue<EspPacket> _sending = new();
    private readonly BlockingQueue<EspPacket> _inbound = new();
    private readonly MemoryTunnelDevice _tunnel;
    private readonly MemoryOuterSocket _socket, _peer;
    private readonly PacketBatch _one = new(1, 10_240, 0);
    private readonly Thread[] _threads;
    private long _dropped;

    internal Processor(MemoryTunnelDevice tunnel, MemoryOuterSocket socket, MemoryOuterSocket peer)
    {
        (_tunnel, _socket, _peer) = (tunnel, socket, peer);
        _threads = [new Thread(Encrypt), new Thread(Send), new Thread(Decrypt)];
        foreach (var thread in _threads)
        {
            thread.IsBackground = true;
            thread.Start();
        }
    }

    internal SaManager Sas { get; } = new();

    internal PolicyManager Policies { get; } = new();

    internal long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>Reads what waits in the TUN, a packet at a time, and queues a copy of each.</summary>
    internal void ReadTunnel()
    {
        while (_tunnel.Receive(_one) > 0)
        {
            if (IpPacket.Create(_one.Packet(0).ToArray()) is { } packet)
            {
                _outbound.Enqueue(packet);
            }
            else
            {
                Drop();
            }
        }
    }

    /// <summary>Reads what waits in the socket, a packet at a time, and queues a copy of each.</summary>
    internal void ReadSocket()
    {
        while (_socket.Receive(_one) > 0)
        {
            ref readonly var slot = ref _one[0];
            var source = new HostAddress(slot.Remote, slot.RemotePort);
            _inbound.Enqueue(EspPacket.FromPacket(source, new HostAddress(slot.Local, _socket.LocalPort), _one.Packet(0).ToArray()));
        }
    }

    public void Dispose()
    {
        _outbound.Close();
        _sending.Close();
        _inbound.Close();
        foreach (var thread in _threads)
        {
            thread.Join();
        }
    }

    private void Encrypt()
    {
        while (_outbound.Dequeue() is { } packet)
        {
            if (Policies.FindByPacket(packet, inbound: false) is { } policy && Sas.CheckoutByReqId(policy.ReqId, inbound: false) is { } sa)
            {
                var esp = EspPacket.FromPayload(sa.Source.Clone(), sa.Destination.Clone(), packet);
                bool done = esp.TryEncrypt(sa.Context, sa.Spi);
                Sas.Checkin(sa);
                if (done)
                {
                    _sending.Enqueue(esp);
                    continue;
                }
            }

            Drop();
        }
    }

    private void Send()
    {
        while (_sending.Dequeue() is { } esp)
        {
            // What sendmsg does, without the copy into a batch that the design does not have.
            if (!_peer.Inject(esp.Bytes, esp.Source.Address, esp.Source.Port, esp.Destination.Address))
            {
                Drop();
            }
        }
    }

    private void Decrypt()
    {
        while (_inbound.Dequeue() is { } esp)
        {
            if (!TryOpen(esp) || Policies.FindByPacket(esp.Payload!, inbound: true) is null || _tunnel.Send(esp.Payload!.Encoding) != 0)
            {
                Drop();
            }
        }
    }

    private bool TryOpen(EspPacket esp)
    {
        if (!esp.TryParseSpi(out uint spi) || Sas.CheckoutBySpi(spi, esp.Destination.Address) is not { } sa)
        {
            return false;
        }

        bool opened = sa.IsInbound && esp.TryDecrypt(sa.Context);
        Sas.Checkin(sa);
        return opened;
    }

    private void Drop() => Interlocked.Increment(ref _dropped);
}
