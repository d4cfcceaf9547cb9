using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Workers;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;

namespace Espalier.DataPlane.Outbound;

/// <summary>
/// Fourth stage outbound: the SA for a packet under a protecting policy, or an ACQUIRE event for the control thread, which makes the larval SA
/// and asks the IKE daemon. The event is posted once, not once a packet: as long as a larval SA stands, and while the control thread
/// has not changed the SAD since the event was posted, the packets are only dropped.
/// </summary>
internal sealed class AssociationStage(IpsecDatabase database, BatchClock clock, WorkerCounters counters)
{
    // An event may be lost, or refused because there are too many larval SAs: ask again after this time.
    private const long RepeatMilliseconds = 1000;

    private const int RecentCount = 64;

    private readonly Posted[] _recent = new Posted[RecentCount];

    /// <summary>The SA to use, or null: then the packet waits for nobody and is dropped (or passes, where the template is optional).</summary>
    public SecurityAssociation? Resolve(SecurityPolicy policy, in FlowKey flow)
    {
        var association = database.Sad.Resolve(policy, flow);
        if (association is null)
        {
            Acquire(policy, flow);
        }

        return association;
    }

    private void Acquire(SecurityPolicy policy, in FlowKey flow)
    {
        var template = policy.Templates[0];
        if (database.Sad.FindAcquiring(template.Source, template.Destination, template.ReqId, template.Mode) is not null)
        {
            return;
        }

        ref var posted = ref _recent[policy.Index % RecentCount];
        long generation = database.Sad.Generation;
        if (posted.Index == policy.Index && posted.Generation == generation && clock.Milliseconds - posted.Milliseconds < RepeatMilliseconds)
        {
            return;
        }

        if (database.Events.TryPost(new IpsecEvent(IpsecEventKind.Acquire, null, policy, flow, default, 0, 0)))
        {
            posted = new Posted(policy.Index, generation, clock.Milliseconds);
            counters.Add(TrafficCounter.AcquiresPosted);
        }
    }

    private readonly record struct Posted(uint Index, long Generation, long Milliseconds);
}
