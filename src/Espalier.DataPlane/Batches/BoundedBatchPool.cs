using Espalier.Io.Batches;

namespace Espalier.DataPlane.Batches;

/// <summary>
/// The pool of the daemon: all its batches are made at start, none later. One uncontended lock for each rent and return, which is one for a batch.
/// The batch returned last is rented first: it is the warmest in the caches.
/// </summary>
public sealed class BoundedBatchPool : BatchPool
{
    private readonly PinnedBatchPolicy _policy;
    private readonly PacketBatch[] _free;
    private readonly Lock _lock = new();
    private int _available;

    /// <summary>Makes <paramref name="capacity"/> batches.</summary>
    public BoundedBatchPool(PinnedBatchPolicy policy, int capacity)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(capacity);
        _policy = policy;
        _free = new PacketBatch[capacity];
        for (int i = 0; i < capacity; i++)
        {
            _free[i] = policy.Create();
        }

        _available = capacity;
    }

    /// <inheritdoc/>
    public override int Capacity => _free.Length;

    /// <inheritdoc/>
    public override int Available => Volatile.Read(ref _available);

    /// <inheritdoc/>
    public override int SlotsPerBatch => _policy.Slots;

    /// <inheritdoc/>
    public override int PacketsPerBatch => _policy.Slots * _policy.PacketsPerSlot;

    /// <inheritdoc/>
    public override PacketBatch? TryRent()
    {
        lock (_lock)
        {
            return _available == 0 ? null : _free[--_available];
        }
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">More was returned than rented, or a batch of another pool: a defect of the caller.</exception>
    public override void Return(PacketBatch obj)
    {
        if (!_policy.Return(obj))
        {
            throw new InvalidOperationException("A batch of another pool was returned.");
        }

        lock (_lock)
        {
            if (_available == _free.Length)
            {
                throw new InvalidOperationException("A batch was returned twice.");
            }

            _free[_available++] = obj;
        }
    }
}
