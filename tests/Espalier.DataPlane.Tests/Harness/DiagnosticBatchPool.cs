using Espalier.DataPlane.Batches;
using Espalier.Io.Batches;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>
/// A pool that fails a test on a double return, on a return of a batch that is not its own, on a write after the return (the buffer of a free batch
/// is poisoned, and looked at when it is rented again and at the end), and on a batch that is missing at the end.
/// </summary>
internal sealed class DiagnosticBatchPool : BatchPool
{
    private const byte Poison = 0xDB;

    private readonly Lock _lock = new();
    private readonly PacketBatch[] _all;
    private readonly Stack<PacketBatch> _free = new();

    public DiagnosticBatchPool(int capacity = 4, int slots = 32, int slotSize = 10_240, int headroom = 128)
    {
        _all = [.. Enumerable.Range(0, capacity).Select(_ => new PacketBatch(slots, slotSize, headroom))];
        foreach (var batch in _all)
        {
            Array.Fill(batch.Buffer, Poison);
            _free.Push(batch);
        }

        SlotsPerBatch = slots;
    }

    public override int Capacity => _all.Length;

    public override int Available => _free.Count;

    public override int SlotsPerBatch { get; }

    public override PacketBatch? TryRent()
    {
        lock (_lock)
        {
            if (!_free.TryPop(out var batch))
            {
                return null;
            }

            CheckUntouched(batch);
            return batch;
        }
    }

    public override void Return(PacketBatch obj)
    {
        lock (_lock)
        {
            Assert.True(Array.IndexOf(_all, obj) >= 0, "A batch of another pool was returned.");
            Assert.False(_free.Contains(obj), "A batch was returned twice.");
            obj.Clear();
            Array.Fill(obj.Buffer, Poison);
            _free.Push(obj);
        }
    }

    public void AssertAllReturnedAndUntouched()
    {
        Assert.True(_free.Count == _all.Length, $"{_all.Length - _free.Count} batches were not returned.");
        foreach (var batch in _free)
        {
            CheckUntouched(batch);
        }
    }

    private static void CheckUntouched(PacketBatch batch) =>
        Assert.False(batch.Buffer.AsSpan().ContainsAnyExcept(Poison) || batch.Count != 0, "A batch was used after its return.");
}
