using System.Runtime.CompilerServices;
using Espalier.Ipsec.Sad;
using Espalier.Xfrm.Handlers;
using Espalier.Xfrm.Messages;

namespace Espalier.Xfrm.Events;

/// <summary>
/// NEWAE to whoever follows replay states (a standby host, <c>ip xfrm monitor</c>). The kernel sends one after so many packets (XFRMA_REPLAY_THRESH) and one
/// after so much time (XFRMA_ETIMER_THRESH); here the SAs are looked at once a second, and only while somebody listens, so that a packet costs nothing.
/// Control thread.
/// </summary>
internal sealed class ReplayNotifier
{
    private const int PeriodMilliseconds = 1000;

    private readonly XfrmContext _context;
    private readonly ConditionalWeakTable<SecurityAssociation, Told> _told = [];
    private long _next;

    public ReplayNotifier(XfrmContext context) => _context = context;

    /// <summary>Does what is due. Returns the milliseconds until the next look, -1 while nobody listens.</summary>
    public int Run()
    {
        if (!_context.Listeners.Has(XfrmGroup.AsyncEvents))
        {
            return -1;
        }

        long now = Environment.TickCount64;
        if (now >= _next)
        {
            _next = now + PeriodMilliseconds;
            using (_context.Database.Freeze())
            {
                Look();
            }
        }

        return (int)(_next - now);
    }

    private void Look()
    {
        foreach (var sa in _context.Database.Sad.All)
        {
            if (sa.State != SaState.Valid || (sa.ReplayMaxDifference == 0 && sa.ReplayMaxAge == 0))
            {
                continue;
            }

            ulong inbound = sa.Replay?.Highest ?? 0;
            if (!_told.TryGetValue(sa, out var told))
            {
                // What it had when it was first seen is not news.
                _told.Add(sa, new Told { Outbound = sa.OutboundSequence, Inbound = inbound });
                continue;
            }

            ulong moved = Math.Max(sa.OutboundSequence - told.Outbound, inbound - told.Inbound);
            bool many = sa.ReplayMaxDifference != 0 && moved >= sa.ReplayMaxDifference;
            if (moved == 0 || (!many && sa.ReplayMaxAge == 0))
            {
                continue;
            }

            told.Outbound = sa.OutboundSequence;
            told.Inbound = inbound;
            AsyncEventWriter.Write(_context.Writer, sa, many ? XfrmValue.AeCauseReplay : XfrmValue.AeCauseTimer, 0, 0);
            _context.Publish(XfrmGroup.AsyncEvents);
        }
    }

    private sealed class Told
    {
        public ulong Outbound;
        public ulong Inbound;
    }
}
