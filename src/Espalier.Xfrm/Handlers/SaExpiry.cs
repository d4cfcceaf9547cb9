using Espalier.Ipsec.Sad;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Handlers;

/// <summary>What happens when an SA meets a limit: EXPIRE, and after a hard one the SA is gone (the kernel's km_state_expired). Workers frozen.</summary>
internal sealed class SaExpiry
{
    private readonly XfrmContext _context;

    public SaExpiry(XfrmContext context) => _context = context;

    /// <summary>
    /// A soft limit: the SA stays, a newer one is preferred, EXPIRE is sent. Also where packets of the same batch have met the hard one since, which is told next: it
    /// is the soft one by which an IKE daemon makes a new SA.
    /// </summary>
    public void Soft(SecurityAssociation sa)
    {
        if (sa.State is not (SaState.Valid or SaState.Expired))
        {
            return;
        }

        sa.Dying = true;
        _context.Database.Sad.Touch();
        Notify(sa, hard: false, portId: 0);
    }

    /// <summary>A hard limit: the SA is removed, then EXPIRE is sent. False if it was not in the SAD any more.</summary>
    public bool Hard(SecurityAssociation sa)
    {
        // xfrm_timer_handler: larval SAs that nobody answered end in the same way.
        if (!_context.Database.Sad.Remove(sa))
        {
            return false;
        }

        Notify(sa, hard: true, portId: 0);
        return true;
    }

    /// <summary>Compares use with the limits of bytes and packets, after these were changed (xfrm_state_check_expire).</summary>
    public void CheckUsage(SecurityAssociation sa)
    {
        ref var usage = ref sa.Usage;
        if (usage.Bytes >= sa.Limits.HardBytes || usage.Packets >= sa.Limits.HardPackets)
        {
            sa.State = SaState.Expired;
            Hard(sa);
        }
        else if (!sa.Dying && (usage.Bytes >= sa.Limits.SoftBytes || usage.Packets >= sa.Limits.SoftPackets))
        {
            Soft(sa);
        }
    }

    /// <summary>Sends EXPIRE.</summary>
    public void Notify(SecurityAssociation sa, bool hard, uint portId)
    {
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.Expire, 0, 0, portId);
        ref var expire = ref writer.Reserve<XfrmUserExpire>();
        SaWriter.Fill(ref expire.State, sa);
        expire.Hard = hard ? (byte)1 : (byte)0;
        if (sa.SaDirection != 0)
        {
            writer.Attribute(XfrmAttribute.SaDirection, sa.SaDirection);
        }

        writer.End();
        _context.Publish(XfrmGroup.Expire);
    }

    /// <summary>Sends a hard EXPIRE of an SA that is not in the SAD: only what identifies it is known.</summary>
    public void NotifyUnknown(in XfrmUserSaId id)
    {
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.Expire, 0, 0, 0);
        ref var expire = ref writer.Reserve<XfrmUserExpire>();
        expire.State.Id.DestinationAddress = id.DestinationAddress;
        expire.State.Id.Spi = id.Spi;
        expire.State.Id.Protocol = id.Protocol;
        expire.State.Family = id.Family;
        expire.Hard = 1;
        writer.End();
        _context.Publish(XfrmGroup.Expire);
    }
}
