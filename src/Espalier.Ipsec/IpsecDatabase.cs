using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;

namespace Espalier.Ipsec;

/// <summary>
/// SAD and SPD, and the rule by which the control thread and the workers share them.
/// A worker holds its <see cref="WorkerGate"/> while it handles a batch, never during a system call that may block.
/// The control thread changes anything, and reads counters, only inside <see cref="Freeze"/>, which waits until every worker is between batches
/// and is let in before their next one. So nothing on the path of a packet is locked per packet, and an SA can be disposed once removed.
/// </summary>
public sealed class IpsecDatabase
{
    /// <summary>The SAD.</summary>
    public SecurityAssociationDatabase Sad { get; } = new();

    /// <summary>The SPD.</summary>
    public SecurityPolicyDatabase Spd { get; } = new();

    /// <summary>Time.</summary>
    public TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>What workers tell the control thread: bounded; a full queue loses the event and counts it.</summary>
    public IpsecEventQueue Events { get; } = new(capacity: 1024);

    /// <summary>
    /// Asked on the control thread, workers frozen, before an SA with keys is added to the SAD: null, or one sentence that says why it cannot be served
    /// (the UDP port that it needs is taken, …), for the extended ACK. The data plane sets it; without one, everything is admitted.
    /// </summary>
    public Func<SecurityAssociation, string?>? Admission { get; set; }

    /// <summary>A gate for a new worker.</summary>
    public WorkerGate AddWorker() => throw new NotImplementedException();

    /// <summary>Stops all workers between batches until the scope is disposed. Re-entrant on one thread. Control threads exclude each other.</summary>
    public FrozenScope Freeze() => throw new NotImplementedException();

    /// <summary>Ends a freeze.</summary>
    public readonly ref struct FrozenScope
    {
        /// <summary>Lets the workers go on.</summary>
        public void Dispose() => throw new NotImplementedException();
    }
}

/// <summary>A worker's side of <see cref="IpsecDatabase.Freeze"/>; one uncontended lock a batch.</summary>
public sealed class WorkerGate
{
    /// <summary>Waits while the control thread has frozen or wants to freeze, then enters a batch.</summary>
    public void Enter() => throw new NotImplementedException();

    /// <summary>Leaves the batch.</summary>
    public void Exit() => throw new NotImplementedException();
}

/// <summary>Bounded queue of events from the workers to the control thread. Posting neither allocates nor blocks.</summary>
public sealed class IpsecEventQueue
{
    /// <summary>Creates a queue.</summary>
    public IpsecEventQueue(int capacity) => Capacity = capacity;

    /// <summary>How many events it can hold.</summary>
    public int Capacity { get; }

    /// <summary>Events lost because the queue was full.</summary>
    public long Lost => throw new NotImplementedException();

    /// <summary>Called (on the worker) when the queue turns from empty to not empty, to wake the control thread.</summary>
    public Action? Signal { get; set; }

    /// <summary>Posts an event; false if it is lost.</summary>
    public bool TryPost(in IpsecEvent value) => throw new NotImplementedException();

    /// <summary>Takes the oldest event.</summary>
    public bool TryTake(out IpsecEvent value) => throw new NotImplementedException();
}
