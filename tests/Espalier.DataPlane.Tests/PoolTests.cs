using Espalier.DataPlane.Batches;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Testing;

namespace Espalier.DataPlane.Tests;

[Collection(nameof(AllocationCollection))]
public sealed class PoolTests
{
    private static BoundedBatchPool Create(int capacity = 2) => new(new PinnedBatchPolicy(4, 1024, 64), capacity);

    [Fact]
    public void Pool_Exhausted_GivesNoneUntilOneIsReturned()
    {
        var pool = Create();
        var first = pool.TryRent();
        var second = pool.TryRent();
        Assert.NotNull(first);
        Assert.NotNull(second);
        Assert.NotSame(first, second);
        Assert.Null(pool.TryRent());
        Assert.Throws<InvalidOperationException>(() => pool.Get());
        Assert.Equal(0, pool.Available);
        first.Count = 3;
        pool.Return(first);
        Assert.Same(first, pool.TryRent());
        Assert.Equal(0, first.Count);
    }

    [Fact]
    public void Pool_MoreReturnedThanRented_Throws()
    {
        var pool = Create();
        var batch = pool.Get();
        pool.Return(batch);
        Assert.Throws<InvalidOperationException>(() => pool.Return(batch));
    }

    [Fact]
    public void Pool_BatchOfAnotherSize_Throws()
    {
        var pool = Create();
        pool.Get();
        Assert.Throws<InvalidOperationException>(() => pool.Return(new Io.Batches.PacketBatch(8, 1024, 64)));
    }

    [Fact]
    public void Pool_RentAndReturn_AllocateNothing()
    {
        var pool = Create();
        pool.Return(pool.Get());
        long allocated = Allocation.Least(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                pool.Return(pool.TryRent()!);
            }
        });

        Assert.Equal(0, allocated);
    }

    [Fact]
    public void DiagnosticPool_DoubleReturnUseAfterReturnAndLeak_Fail()
    {
        var pool = new DiagnosticBatchPool(2);
        var batch = pool.Get();
        Assert.ThrowsAny<Exception>(pool.AssertAllReturnedAndUntouched);
        pool.Return(batch);
        Assert.ThrowsAny<Exception>(() => pool.Return(batch));
        pool.AssertAllReturnedAndUntouched();
        batch.Buffer[100] = 1;
        Assert.ThrowsAny<Exception>(pool.AssertAllReturnedAndUntouched);
    }
}
