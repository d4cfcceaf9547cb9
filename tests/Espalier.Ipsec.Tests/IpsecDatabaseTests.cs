using Espalier.Testing;

namespace Espalier.Ipsec.Tests;

[Collection(nameof(AllocationCollection))]
public class IpsecDatabaseTests
{
    // Only how long a broken gate may hang the test run.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly IpsecDatabase database = new();

    [Fact]
    public void Freeze_NoWorkers_IsReentrant()
    {
        using (database.Freeze())
        {
            Assert.True(database.IsFrozenByThisThread);
            using var inner = database.Freeze();
        }

        Assert.False(database.IsFrozenByThisThread);
    }

    [Fact]
    public void Enter_Twice_Throws()
    {
        var gate = database.AddWorker();
        gate.Enter();
        Assert.Throws<InvalidOperationException>(gate.Enter);
        gate.Exit();
        Assert.Throws<InvalidOperationException>(gate.Exit);
    }

    [Fact]
    public void Unfreeze_OnAThreadThatDidNotFreeze_Throws()
    {
        var turnstile = new BatchTurnstile();
        turnstile.Freeze();
        Exception? seen = null;
        var other = new Thread(() => seen = Record.Exception(turnstile.Unfreeze));
        other.Start();
        other.Join();
        Assert.IsType<SynchronizationLockException>(seen);
        turnstile.Unfreeze();
    }

    [Fact]
    public void EnterAndExit_AllocateNothing()
    {
        var gate = database.AddWorker();
        long allocated = Allocation.Least(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                gate.Enter();
                gate.Exit();
            }
        });

        Assert.Equal(0, allocated);
    }

    [Fact]
    public void Freeze_WhileAWorkerIsInABatch_WaitsForThisBatchOnly()
    {
        var gate = database.AddWorker();
        gate.Enter();
        bool batchOver = false;
        bool sawBatchOver = false;
        var control = new Thread(() =>
        {
            using var scope = database.Freeze();
            sawBatchOver = Volatile.Read(ref batchOver);
        });
        control.Start();
        Assert.True(SpinWait.SpinUntil(() => control.ThreadState == ThreadState.WaitSleepJoin, Patience));
        Volatile.Write(ref batchOver, true);
        gate.Exit();

        // Re-enters at once, as a worker under flood does: the control thread is let in first, else this never ends.
        gate.Enter();
        gate.Exit();
        control.Join();
        Assert.True(sawBatchOver);
    }

    [Fact]
    public void RemoveWorker_LeftInsideABatch_NoLongerHoldsUpAFreeze()
    {
        var gate = database.AddWorker();
        gate.Enter();
        database.RemoveWorker(gate);
        using var scope = database.Freeze();
        Assert.True(database.IsFrozenByThisThread);
    }

    [Fact]
    public void Flood_WorkersNeverRunWhileFrozen_AndBothSidesGoOn()
    {
        // Plain fields, no fences of their own: what the gates do must be enough.
        const int Workers = 3;
        const int Freezes = 2_000;
        const int Controls = 2;
        var shared = new long[2];
        bool stop = false;
        long torn = 0;
        var batches = new long[Workers];
        var workers = Enumerable.Range(0, Workers).Select(w => new Thread(() =>
        {
            var gate = database.AddWorker();
            while (!Volatile.Read(ref stop))
            {
                gate.Enter();
                if (shared[0] != shared[1])
                {
                    Interlocked.Increment(ref torn);
                }

                batches[w]++;
                gate.Exit();
            }
        })).ToList();
        var controls = Enumerable.Range(0, Controls).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < Freezes; i++)
            {
                using var outer = database.Freeze();
                using var inner = database.Freeze();
                shared[0]++;
                Thread.SpinWait(20);
                shared[1]++;
            }
        })).ToList();
        workers.ForEach(t => t.Start());
        controls.ForEach(t => t.Start());
        controls.ForEach(t => t.Join());
        Volatile.Write(ref stop, true);
        workers.ForEach(t => t.Join());
        Assert.Equal(0, torn);
        Assert.Equal([(long)Freezes * Controls, (long)Freezes * Controls], shared);
    }

    [Fact]
    public void FreezeAgainAtOnce_AWorkerThatWaited_HasHadItsBatchBetween()
    {
        var turnstile = new BatchTurnstile();
        var gate = turnstile.Add();
        for (int round = 0; round < 50; round++)
        {
            bool done = false;
            var worker = new Thread(() =>
            {
                gate.Enter();
                done = true;
                gate.Exit();
            });
            turnstile.Freeze();
            worker.Start();
            Assert.True(SpinWait.SpinUntil(() => turnstile.WaitingWorkers == 1, Patience));
            Assert.False(done);
            turnstile.Unfreeze();

            turnstile.Freeze();
            Assert.True(done);
            turnstile.Unfreeze();
            worker.Join();
        }
    }
}
