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
    private readonly BatchTurnstile turnstile = new();

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

    /// <summary>True where the calling thread holds a <see cref="Freeze"/>.</summary>
    public bool IsFrozenByThisThread => turnstile.IsFrozenByThisThread;

    /// <summary>A gate for a new worker. Any thread but a worker inside a batch.</summary>
    public WorkerGate AddWorker() => turnstile.Add();

    /// <summary>Forgets the gate of a worker that has ended. A gate left inside a batch would hold up every freeze.</summary>
    public void RemoveWorker(WorkerGate gate) => turnstile.Remove(gate);

    /// <summary>
    /// Stops all workers between batches until the scope is disposed, on the same thread. Re-entrant on one thread. Control threads exclude each other.
    /// Never called inside a batch: the thread would wait for itself.
    /// </summary>
    public FrozenScope Freeze()
    {
        turnstile.Freeze();
        return new FrozenScope(turnstile);
    }

    /// <summary>Ends a freeze.</summary>
    public readonly ref struct FrozenScope
    {
        private readonly BatchTurnstile? turnstile;

        internal FrozenScope(BatchTurnstile turnstile) => this.turnstile = turnstile;

        /// <summary>Lets the workers go on when the outermost scope of the thread ends.</summary>
        public void Dispose() => turnstile?.Unfreeze();
    }
}
