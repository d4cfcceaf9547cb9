namespace Espalier.Ipsec.Tests;

public class IpsecDatabaseTests
{
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
    public void Dispose_OnAnotherThread_Throws()
    {
        Exception? seen = null;
        using (database.Freeze())
        {
            var other = new Thread(() => seen = Record.Exception(() =>
            {
                var gate = new BatchTurnstile();
                gate.Unfreeze();
            }));
            other.Start();
            other.Join();
        }

        Assert.IsType<SynchronizationLockException>(seen);
    }

    [Fact]
    public void EnterAndExit_AllocateNothing()
    {
        var gate = database.AddWorker();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
        {
            gate.Enter();
            gate.Exit();
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
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
        SpinWait.SpinUntil(() => control.ThreadState == ThreadState.WaitSleepJoin);
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
    public void FreezeInALoop_AWorkerThatWaited_GetsItsBatchBetween()
    {
        var gate = database.AddWorker();
        const int Batches = 200;
        long done = 0;
        var worker = new Thread(() =>
        {
            for (int i = 0; i < Batches; i++)
            {
                gate.Enter();
                done++;
                gate.Exit();
            }
        });

        // Freezes without a pause until the worker has done all its batches: without fairness to the worker this need not end.
        using (database.Freeze())
        {
            worker.Start();
        }

        while (worker.IsAlive)
        {
            using var scope = database.Freeze();
        }

        Assert.Equal(Batches, done);
    }
}
