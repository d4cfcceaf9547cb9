using Espalier.Io.Batches;
using Espalier.Io.Interop;

namespace Espalier.Io.InMemory;

/// <summary>
/// A tunnel device in memory, for tests and benchmarks: <see cref="Inject"/> plays the host that sends, <see cref="TryTake"/> the host that
/// receives. Bounded, and nothing is allocated per packet. One thread on each side of each direction.
/// </summary>
public sealed class MemoryTunnelDevice : ITunnelDevice
{
    private readonly PacketRing _toDataPlane;
    private readonly PacketRing _toHost;

    /// <summary>With room for <paramref name="capacity"/> packets of at most <paramref name="packetSize"/> bytes each way.</summary>
    public MemoryTunnelDevice(int capacity = 256, int packetSize = 10_000)
    {
        _toDataPlane = new PacketRing(capacity, packetSize);
        _toHost = new PacketRing(capacity, packetSize);
    }

    /// <inheritdoc/>
    public int PollDescriptor => -1;

    /// <summary>Packets written by the data plane and not yet taken.</summary>
    public int Waiting => _toHost.Count;

    /// <summary>Gives the data plane a packet to read. False: full, or the packet is too large.</summary>
    public bool Inject(ReadOnlySpan<byte> packet) => _toDataPlane.TryAdd(packet, default);

    /// <summary>Takes a packet that the data plane wrote; what does not fit into <paramref name="destination"/> is lost. False: none.</summary>
    public bool TryTake(Span<byte> destination, out int length)
    {
        bool taken = _toHost.TryTake(destination, out var slot);
        length = slot.Length;
        return taken;
    }

    /// <inheritdoc/>
    public int Receive(PacketBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return _toDataPlane.TakeInto(batch);
    }

    /// <inheritdoc/>
    /// <remarks>ENOBUFS: nobody took the packets before; EMSGSIZE: larger than the device's packets.</remarks>
    public int Send(ReadOnlySpan<byte> packet) =>
        packet.Length > _toHost.PacketSize ? Errno.EMSGSIZE : _toHost.TryAdd(packet, default) ? 0 : Errno.ENOBUFS;

    /// <summary>Does nothing.</summary>
    public void Dispose()
    {
    }
}
