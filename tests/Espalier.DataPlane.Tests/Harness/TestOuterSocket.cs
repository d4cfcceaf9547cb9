using Espalier.Io.Batches;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>An outer socket in memory; what it sends goes to its network.</summary>
internal sealed class TestOuterSocket(TestNetwork network, IpVersion version, ushort port) : IOuterSocket
{
    private readonly Queue<(OuterError Error, byte[] Quoted)> _errors = new();

    public TestPacketQueue Inbox { get; } = new(network.QueueLength);

    public IpVersion Version { get; } = version;

    public ushort LocalPort { get; } = port;

    public int PollDescriptor => -1;

    public long KernelDrops => Inbox.Dropped;

    public bool IsDisposed { get; private set; }

    /// <summary>Errno for a packet, 0 = send it.</summary>
    public Func<PacketSlot, int>? Refusal { get; set; }

    public int Calls { get; private set; }

    public int Receive(PacketBatch batch)
    {
        lock (Inbox)
        {
            return Inbox.Receive(batch);
        }
    }

    public int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        Calls++;
        int sent = 0;
        foreach (int index in slots)
        {
            ref var slot = ref batch[index];
            slot.Error = Refusal?.Invoke(slot) ?? 0;
            if (slot.Error == 0)
            {
                network.Carry(this, batch.Packet(index), slot);
                sent++;
            }
        }

        return sent;
    }

    public void QueueError(OuterError error, byte[] quoted) => _errors.Enqueue((error with { QuotedLength = quoted.Length }, quoted));

    public bool TryReceiveError(Span<byte> quoted, out OuterError error)
    {
        if (!_errors.TryDequeue(out var entry))
        {
            error = default;
            return false;
        }

        int length = Math.Min(quoted.Length, entry.Quoted.Length);
        entry.Quoted.AsSpan(0, length).CopyTo(quoted);
        error = entry.Error with { QuotedLength = length };
        return true;
    }

    public void Dispose() => IsDisposed = true;
}
