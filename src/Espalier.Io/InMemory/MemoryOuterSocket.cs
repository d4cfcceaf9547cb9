using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Wire.Addresses;

namespace Espalier.Io.InMemory;

/// <summary>
/// One of two outer sockets that are linked in memory, for tests and benchmarks: what one sends, whatever its destination, the other
/// receives. Bounded, and nothing is allocated per packet. One thread sends and one receives on each.
/// </summary>
public sealed class MemoryOuterSocket : IOuterSocket
{
    private readonly PacketRing _incoming;
    private readonly InternetAddress _address;
    private MemoryOuterSocket? _peer;
    private long _drops;

    private MemoryOuterSocket(InternetAddress address, ushort port, int capacity, int packetSize)
    {
        _address = address;
        LocalPort = port;
        _incoming = new PacketRing(capacity, packetSize);
    }

    /// <inheritdoc/>
    public IpVersion Version => _address.Version;

    /// <inheritdoc/>
    public ushort LocalPort { get; }

    /// <inheritdoc/>
    public int PollDescriptor => -1;

    /// <inheritdoc/>
    public long KernelDrops => Volatile.Read(ref _drops);

    /// <summary>Bytes of payload beyond which a packet with DontFragment is refused with EMSGSIZE.</summary>
    public int MaximumPayload { get; set; } = int.MaxValue;

    /// <summary>Two linked sockets of the given addresses (of one version) and ports (0 = raw ESP).</summary>
    public static (MemoryOuterSocket First, MemoryOuterSocket Second) CreatePair(
        InternetAddress first, ushort firstPort, InternetAddress second, ushort secondPort, int capacity = 256, int packetSize = 10_240)
    {
        if (first.Version != second.Version)
        {
            throw new ArgumentException("the two addresses differ in version", nameof(second));
        }

        var a = new MemoryOuterSocket(first, firstPort, capacity, packetSize);
        var b = new MemoryOuterSocket(second, secondPort, capacity, packetSize) { _peer = a };
        a._peer = b;
        return (a, b);
    }

    /// <inheritdoc/>
    public int Receive(PacketBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return _incoming.TakeInto(batch);
    }

    /// <inheritdoc/>
    public int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        ArgumentNullException.ThrowIfNull(batch);
        int sent = 0;
        foreach (int index in slots)
        {
            ref var slot = ref batch[index];
            slot.Error = slot.Remote.Version != Version ? Errno.EAFNOSUPPORT
                : slot.DontFragment && slot.Length > MaximumPayload ? Errno.EMSGSIZE
                : 0;
            if (slot.Error == 0)
            {
                sent++;
                _peer!.Deliver(batch.Packet(index), in slot, slot.Local.IsUnspecified ? _address : slot.Local, LocalPort);
            }
        }

        return sent;
    }

    /// <inheritdoc/>
    /// <remarks>False: no network, no ICMP errors.</remarks>
    public bool TryReceiveError(Span<byte> quoted, out OuterError error)
    {
        error = default;
        return false;
    }

    /// <summary>
    /// Makes this socket receive a datagram as if <paramref name="remote"/> had sent it to <paramref name="local"/>. False: the queue is full,
    /// which counts as a kernel drop. For the thread that otherwise sends on the peer.
    /// </summary>
    public bool Inject(ReadOnlySpan<byte> packet, InternetAddress remote, ushort remotePort, InternetAddress local, byte trafficClass = 0) =>
        Deliver(packet, new PacketSlot { Remote = local, TrafficClass = trafficClass }, remote, remotePort);

    /// <summary>Does nothing.</summary>
    public void Dispose()
    {
    }

    private bool Deliver(ReadOnlySpan<byte> packet, in PacketSlot sent, InternetAddress source, ushort sourcePort)
    {
        var received = new PacketSlot
        {
            Remote = source,
            RemotePort = sourcePort,
            Local = sent.Remote,
            TrafficClass = sent.TrafficClass,
        };
        if (_incoming.TryAdd(packet, in received))
        {
            return true;
        }

        Volatile.Write(ref _drops, _drops + 1);
        return false;
    }
}
