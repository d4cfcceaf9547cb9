using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;

namespace Espalier.Ipsec.Lifetimes;

/// <summary>
/// The limits of time of all SAs and policies (the kernel's xfrm_timer_handler and xfrm_policy_timer): a heap of the next moment each must be looked
/// at, so that nothing is walked. An SA that only has limits since its first use, and has not been used, is looked at once in that many seconds.
/// Belongs to the control thread; every member but <see cref="NextDue"/> is called with the workers frozen.
/// </summary>
public sealed class LifetimeClock : IDisposable
{
    private const ulong Never = ulong.MaxValue;

    private readonly IpsecDatabase database;
    private readonly Dictionary<object, Timed> entries = new(ReferenceEqualityComparer.Instance);
    private readonly PriorityQueue<Timed, ulong> queue = new();
    private long lostSeen;

    /// <summary>Watches a database: what is in it now and what is added or removed later.</summary>
    public LifetimeClock(IpsecDatabase database)
    {
        ArgumentNullException.ThrowIfNull(database);
        this.database = database;
        lostSeen = database.Events.Lost;
        foreach (var association in database.Sad.All)
        {
            Watch(association);
        }

        foreach (var policy in database.Spd.Policies)
        {
            Watch(policy);
        }

        database.Sad.Added += Watch;
        database.Sad.Removed += Forget;
        database.Spd.Added += Watch;
        database.Spd.Removed += Forget;
    }

    /// <summary>
    /// When <see cref="CollectDue"/> must be called next, in Unix seconds; null while nothing has a limit of time. 0 (at once) where workers lost an
    /// event, which may have been that of an SA past its hard limit of bytes or packets.
    /// </summary>
    public ulong? NextDue
    {
        get
        {
            if (database.Events.Lost != lostSeen)
            {
                return 0;
            }

            DropStale();
            return queue.TryPeek(out _, out ulong due) ? due : null;
        }
    }

    /// <summary>Entries in the heap, stale ones included; at most about twice the limited SAs and policies.</summary>
    internal int QueueLength => queue.Count;

    /// <summary>Stops watching.</summary>
    public void Dispose()
    {
        database.Sad.Added -= Watch;
        database.Sad.Removed -= Forget;
        database.Spd.Added -= Watch;
        database.Spd.Removed -= Forget;
        entries.Clear();
        queue.Clear();
    }

    /// <summary>To be called when the limits or the times of an SA that is in the SAD were changed (UPDSA).</summary>
    public void Reschedule(SecurityAssociation association)
    {
        ArgumentNullException.ThrowIfNull(association);
        Forget(association);
        if (association.Links is not null)
        {
            Watch(association);
        }
    }

    /// <summary>
    /// Does what is due. Hard: the SA or policy is removed from its database (an SA's keys are zeroed), then told with true. Soft: it is marked
    /// (<see cref="SecurityAssociation.Dying"/>, <see cref="SecurityPolicy.SoftExpired"/>), then told with false, once. Where both are due, only hard is told,
    /// unless the clock was set past both limits of an SA since it was added: then soft is told, and the hard limit comes as much later as it was to.
    /// </summary>
    /// <param name="nowUnixSeconds">The time.</param>
    /// <param name="association">Told of SAs; may change the database.</param>
    /// <param name="policy">Told of policies; may change the database.</param>
    public void CollectDue(ulong nowUnixSeconds, Action<SecurityAssociation, bool> association, Action<SecurityPolicy, bool>? policy = null)
    {
        ArgumentNullException.ThrowIfNull(association);
        CollectUntold(association);
        while (queue.TryPeek(out var entry, out ulong due) && due <= nowUnixSeconds)
        {
            queue.Dequeue();
            if (entry.QueuedAt != due)
            {
                continue;
            }

            // Queued again before it is told, because what is told may change the database.
            entry.QueuedAt = Never;
            if (entry.Target is SecurityAssociation sa)
            {
                Collect(sa, entry, nowUnixSeconds, association);
            }
            else
            {
                Collect((SecurityPolicy)entry.Target, entry, nowUnixSeconds, policy);
            }
        }
    }

    private void Collect(SecurityAssociation sa, Timed entry, ulong now, Action<SecurityAssociation, bool> tell)
    {
        ref readonly var limits = ref sa.Limits;
        if (entry.AwaitsSoft && !sa.Dying && limits.SoftAddSeconds < limits.HardAddSeconds && After(sa.Usage.AddTime, limits.HardAddSeconds) <= now)
        {
            // xfrm_timer_handler: a new date was set. Without the soft limit no IKE daemon makes a new SA in time.
            sa.Usage.AddTime = now - limits.SoftAddSeconds;
        }

        if (HardDue(sa.Limits, sa.Usage, UseStart(sa.Usage, now)) <= now)
        {
            sa.State = SaState.Expired;
            database.Sad.Remove(sa);
            tell(sa, true);
            return;
        }

        bool soft = !sa.Dying && SoftDue(sa.Limits, sa.Usage, UseStart(sa.Usage, now)) <= now;
        if (soft)
        {
            sa.Dying = true;
            database.Sad.Touch();
        }

        entry.AwaitsSoft = AwaitsSoft(sa, now);
        Enqueue(entry, NextLook(sa.Limits, sa.Usage, UseStart(sa.Usage, now), sa.Dying));
        if (soft)
        {
            tell(sa, false);
        }
    }

    private void Collect(SecurityPolicy policy, Timed entry, ulong now, Action<SecurityPolicy, bool>? tell)
    {
        ulong start = IdleStart(policy.Usage);
        if (HardDue(policy.Limits, policy.Usage, start) <= now)
        {
            database.Spd.Remove(policy);
            tell?.Invoke(policy, true);
            return;
        }

        bool soft = !policy.SoftExpired && SoftDue(policy.Limits, policy.Usage, start) <= now;
        policy.SoftExpired |= soft;
        Enqueue(entry, NextLook(policy.Limits, policy.Usage, start, policy.SoftExpired));
        if (soft)
        {
            tell?.Invoke(policy, false);
        }
    }

    // An SA past its hard limit of bytes or packets whose event was lost would stay for ever; events are lost only in a flood of them.
    private void CollectUntold(Action<SecurityAssociation, bool> tell)
    {
        long lost = database.Events.Lost;
        if (lost == lostSeen)
        {
            return;
        }

        lostSeen = lost;
        foreach (var sa in database.Sad.All)
        {
            if (sa.State == SaState.Expired)
            {
                database.Sad.Remove(sa);
                tell(sa, true);
            }
        }
    }

    private void Watch(SecurityAssociation sa)
    {
        ulong now = Now;
        Watch(sa, NextLook(sa.Limits, sa.Usage, UseStart(sa.Usage, now), sa.Dying), AwaitsSoft(sa, now));
    }

    private void Watch(SecurityPolicy policy) =>
        Watch(policy, NextLook(policy.Limits, policy.Usage, IdleStart(policy.Usage), policy.SoftExpired), awaitsSoft: false);

    private ulong Now => (ulong)Math.Max(0, database.Clock.GetUtcNow().ToUnixTimeSeconds());

    private void Watch(object target, ulong due, bool awaitsSoft)
    {
        if (due != Never)
        {
            var entry = new Timed(target) { AwaitsSoft = awaitsSoft };
            entries[target] = entry;
            Enqueue(entry, due);
        }
    }

    private void Forget(object target)
    {
        if (entries.RemoveAndShrink(target, out var entry))
        {
            entry.QueuedAt = Never;
            if (queue.Count > (2 * entries.Count) + 64)
            {
                Rebuild();
            }
        }
    }

    private void Enqueue(Timed entry, ulong due)
    {
        entry.QueuedAt = due;
        if (due != Never)
        {
            queue.Enqueue(entry, due);
        }
    }

    private void DropStale()
    {
        while (queue.TryPeek(out var entry, out ulong due) && entry.QueuedAt != due)
        {
            queue.Dequeue();
        }
    }

    private void Rebuild()
    {
        queue.Clear();
        foreach (var entry in entries.Values)
        {
            if (entry.QueuedAt != Never)
            {
                queue.Enqueue(entry, entry.QueuedAt);
            }
        }

        queue.TrimExcess();
    }

    // When the limits "since use" of an SA begin: with its first packet; one that was not used is looked at again later.
    private static ulong UseStart(in LifetimeUsage usage, ulong now) => usage.UseTime == 0 ? now : usage.UseTime;

    // The soft limit since it was added has not been met yet.
    private static bool AwaitsSoft(SecurityAssociation sa, ulong now) =>
        !sa.Dying && sa.Limits.SoftAddSeconds != 0 && After(sa.Usage.AddTime, sa.Limits.SoftAddSeconds) > now;

    // Of a policy they begin anew with every packet, and where there was none, when it was added (xfrm_policy_timer): it ends when it is idle.
    private static ulong IdleStart(in LifetimeUsage usage) => usage.LastUsed == 0 ? usage.AddTime : usage.LastUsed;

    private static ulong NextLook(in LifetimeLimits limits, in LifetimeUsage usage, ulong useStart, bool softTold)
    {
        ulong hard = HardDue(limits, usage, useStart);
        return softTold ? hard : Math.Min(hard, SoftDue(limits, usage, useStart));
    }

    private static ulong HardDue(in LifetimeLimits limits, in LifetimeUsage usage, ulong useStart) =>
        Math.Min(After(usage.AddTime, limits.HardAddSeconds), After(useStart, limits.HardUseSeconds));

    private static ulong SoftDue(in LifetimeLimits limits, in LifetimeUsage usage, ulong useStart) =>
        Math.Min(After(usage.AddTime, limits.SoftAddSeconds), After(useStart, limits.SoftUseSeconds));

    private static ulong After(ulong start, ulong seconds) => seconds == 0 || seconds > Never - start ? Never : start + seconds;

    private sealed class Timed(object target)
    {
        public readonly object Target = target;

        // The moment of its one entry in the queue that counts; others are stale.
        public ulong QueuedAt = Never;

        // Of an SA: when it was looked at last, its soft limit since it was added lay ahead.
        public bool AwaitsSoft;
    }
}
