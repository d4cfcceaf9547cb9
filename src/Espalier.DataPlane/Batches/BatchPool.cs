using Espalier.Io.Batches;
using Microsoft.Extensions.ObjectPool;

namespace Espalier.DataPlane.Batches;

/// <summary>
/// Where batches come from: a fixed number of them, so that the memory of the data plane does not depend on its load.
/// Whoever rents a batch owns it until it returns it, once.
/// </summary>
public abstract class BatchPool : ObjectPool<PacketBatch>
{
    /// <summary>How many batches there are.</summary>
    public abstract int Capacity { get; }

    /// <summary>How many of them are not rented now.</summary>
    public abstract int Available { get; }

    /// <summary>Slots of each batch.</summary>
    public abstract int SlotsPerBatch { get; }

    /// <summary>Packets of each batch at most.</summary>
    public virtual int PacketsPerBatch => SlotsPerBatch;

    /// <summary>Rents an empty batch; null when all are rented: the caller counts that and skips or drops. Never waits, never allocates.</summary>
    public abstract PacketBatch? TryRent();

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">All batches are rented. The path of a packet uses <see cref="TryRent"/>.</exception>
    public override PacketBatch Get() =>
        TryRent() ?? throw new InvalidOperationException($"All {Capacity} batches of the pool are rented.");
}
