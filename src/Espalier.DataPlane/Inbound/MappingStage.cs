using Espalier.DataPlane.Counters;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Inbound;

/// <summary>
/// Fourth stage inbound: a packet whose ICV was right and that came from another address or port than the SA's peer has says that a NAT gave
/// the peer a new mapping (RFC 3948 §2.1, RFC 7296 §2.23). The IKE daemon is told, once for each change. The SA stays as it is: only the daemon
/// changes it, so an attacker who replays a packet from elsewhere redirects nothing.
/// </summary>
internal sealed class MappingStage(IpsecDatabase database, WorkerCounters counters)
{
    /// <summary>Looks at where one authentic packet came from.</summary>
    public void Check(SecurityAssociation association, in PacketSlot slot)
    {
        // Without UDP encapsulation there is no NAT to cross; the source is not checked then (RFC 4301 §5.2).
        if (association.Encapsulation is not { } encapsulation)
        {
            return;
        }

        if (slot.Remote == association.Source && slot.RemotePort == encapsulation.SourcePort)
        {
            association.MappedAddress = default;
            association.MappedPort = 0;
        }
        else if (slot.Remote != association.MappedAddress || slot.RemotePort != association.MappedPort)
        {
            Report(association, slot);
        }
    }

    private void Report(SecurityAssociation association, in PacketSlot slot)
    {
        // Where the queue is full the next packet tries again.
        if (database.Events.TryPost(
            new IpsecEvent(IpsecEventKind.Mapping, association, null, default, slot.Remote, slot.RemotePort, 0)))
        {
            association.MappedAddress = slot.Remote;
            association.MappedPort = slot.RemotePort;
            counters.Add(TrafficCounter.MappingsPosted);
        }
    }
}
