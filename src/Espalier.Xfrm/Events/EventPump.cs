using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;
using Espalier.Xfrm.Messages.Structs;

namespace Espalier.Xfrm.Events;

/// <summary>
/// Takes what the workers tell and what the clock brings, changes the SAD and SPD accordingly, and notifies. Control thread; every change is
/// made with the workers frozen.
/// </summary>
internal sealed class EventPump
{
    private const int EventsAtATime = 32;

    private readonly XfrmContext _context;
    private readonly ReplayNotifier _replay;
    private readonly SaExpiry _expiry;
    private readonly PolicyHandlers _policies;
    private readonly Acquisition _acquisition;
    private readonly Dictionary<SecurityAssociation, (ulong Time, ushort Port)> _mapped = new(ReferenceEqualityComparer.Instance);

    public EventPump(XfrmContext context, SaExpiry expiry, PolicyHandlers policies)
    {
        _replay = new ReplayNotifier(context);
        _context = context;
        _expiry = expiry;
        _policies = policies;
        _acquisition = new Acquisition(context);
        context.Database.Sad.Removed += association => _mapped.RemoveAndShrink(association);
    }

    /// <summary>Told of a path MTU that was learnt for an SA; workers frozen. The data plane's business.</summary>
    public Action<IpsecEvent>? PathMtuLearnt { get; set; }

    /// <summary>ACQUIREs that came to nothing because too many larval SAs wait (XfrmAcquireError).</summary>
    public long AcquireErrors => _acquisition.Errors;

    /// <summary>Notifications sent, by kind.</summary>
    public long Acquires => _acquisition.Sent;

    /// <summary>See <see cref="Acquires"/>.</summary>
    public long Expirations { get; private set; }

    /// <summary>See <see cref="Acquires"/>.</summary>
    public long Mappings { get; private set; }

    /// <summary>When <see cref="RunDue"/> must be called next, in Unix seconds; null = nothing is due ever.</summary>
    public ulong? NextDue => _context.Lifetimes.NextDue;

    /// <summary>Handles some of what the workers have told, so few that they do not wait long. True if more may be waiting.</summary>
    public bool Drain()
    {
        var events = _context.Database.Events;
        if (!events.TryTake(out var value))
        {
            return false;
        }

        using (_context.Database.Freeze())
        {
            int left = EventsAtATime;
            do
            {
                Handle(value);
            }
            while (--left > 0 && events.TryTake(out value));
            return left == 0;
        }
    }

    /// <summary>Sends NEWAE for SAs whose sequence numbers have moved, while somebody listens. Returns the milliseconds until it wants to be called again, -1 = not.</summary>
    public int NotifyReplay() => _replay.Run();

    /// <summary>Does what limits of time ask for.</summary>
    public void RunDue()
    {
        if (NextDue is not { } due || due > _context.Now)
        {
            return;
        }

        using (_context.Database.Freeze())
        {
            _context.Lifetimes.CollectDue(
                _context.Now,
                (association, hard) =>
                {
                    Expirations++;
                    _expiry.Notify(association, hard, portId: 0);
                },
                (policy, hard) =>
                {
                    Expirations++;
                    _policies.NotifyExpired(policy, hard, portId: 0);
                });
        }
    }

    private void Handle(in IpsecEvent value)
    {
        switch (value.Kind)
        {
            case IpsecEventKind.Acquire when value.Policy is { } policy:
                _acquisition.Acquire(policy, value.Flow);
                break;
            case IpsecEventKind.SoftExpired when value.Association is { State: SaState.Valid or SaState.Expired } association:
                Expirations++;
                _expiry.Soft(association);
                break;
            case IpsecEventKind.HardExpired when value.Association is { State: not SaState.Dead } association:
                Expirations += _expiry.Hard(association) ? 1 : 0;
                break;
            case IpsecEventKind.Mapping when value.Association is { State: SaState.Valid } association:
                Map(association, value);
                break;
            case IpsecEventKind.PathMtu when value.Association is { State: not SaState.Dead }:
                PathMtuLearnt?.Invoke(value);
                break;
            default:
                // The SA or policy is gone by now: nothing to tell.
                break;
        }
    }

    // km_new_mapping: with a threshold, the same port is told again only after so many seconds. The SA itself is left to the IKE daemon.
    private void Map(SecurityAssociation sa, in IpsecEvent value)
    {
        if (sa.Encapsulation is not { } encapsulation)
        {
            return;
        }

        if (sa.MappingMaxAge != 0)
        {
            ulong now = _context.Now;
            if (_mapped.TryGetValue(sa, out var last) && last.Port == value.PeerPort && now - last.Time <= sa.MappingMaxAge)
            {
                return;
            }

            _mapped[sa] = (now, value.PeerPort);
        }

        Mappings++;
        var writer = _context.Writer;
        writer.Begin(XfrmMessage.Mapping, 0, 0, 0);
        ref var mapping = ref writer.Reserve<XfrmUserMapping>();
        SaWriter.FillId(ref mapping.Id, sa);
        mapping.ReqId = sa.ReqId;
        mapping.OldSourceAddress = XfrmConversions.FromAddress(sa.Source);
        mapping.OldSourcePort = XfrmConversions.Swap(encapsulation.SourcePort);
        mapping.NewSourceAddress = XfrmConversions.FromAddress(value.PeerAddress);
        mapping.NewSourcePort = XfrmConversions.Swap(value.PeerPort);
        writer.End();
        _context.Publish(XfrmGroup.Mapping);
    }
}
