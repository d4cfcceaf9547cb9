using Espalier.Io.Netlink;
using Espalier.Routing.Addresses;

namespace Espalier.Routing;

/// <summary>
/// rtnetlink → local addresses and sources at once, because policies of the next request may need them; everything else once the changes have had time to
/// gather: addresses and links soon, the host's other routes, of which there may be many, later. Owned by the control thread.
/// </summary>
internal sealed class HostFollower(RouteNetlink netlink, RouteMonitor monitor, LocalAddresses addresses, SourceAddresses sources)
{
    /// <summary>How long changes of routes gather, and what failed waits.</summary>
    internal const int GatherRoutesMilliseconds = 1000;

    private const int GatherMilliseconds = 100;

    private RouteChanges _pending;
    private long _pendingSince;
    private long _restUntil;

    /// <summary>Milliseconds until what is pending is due; null = nothing is.</summary>
    internal long? UntilDue => _pending == RouteChanges.None
        ? null
        : Math.Max(Math.Max(_pendingSince + ((_pending & ~RouteChanges.Routes) != 0 ? GatherMilliseconds : GatherRoutesMilliseconds), _restUntil) - Environment.TickCount64, 0);

    /// <summary>Takes the notifications that wait.</summary>
    /// <exception cref="NetlinkException">The kernel refused to list addresses or routes.</exception>
    internal void Read()
    {
        var changes = monitor.Drain();
        if ((changes & RouteChanges.LocalRoutes) != 0)
        {
            addresses.Refresh(netlink);
        }

        if ((changes & (RouteChanges.Addresses | RouteChanges.LocalRoutes)) != 0)
        {
            sources.Refresh();
        }

        Postpone(changes);
    }

    /// <summary>Has changes followed later: they were just told, or following them failed.</summary>
    internal void Postpone(RouteChanges changes)
    {
        if (changes != RouteChanges.None && _pending == RouteChanges.None)
        {
            _pendingSince = Environment.TickCount64;
        }

        _pending |= changes;
    }

    /// <summary>Follows nothing more for so long.</summary>
    internal void Rest(TimeSpan time) => _restUntil = Environment.TickCount64 + (long)time.TotalMilliseconds;

    /// <summary>True where changes have gathered: what depends on the host is to be brought up to date now.</summary>
    internal bool TryTake(out RouteChanges changes)
    {
        changes = _pending;
        if (UntilDue is not 0)
        {
            return false;
        }

        _pending = RouteChanges.None;
        sources.Refresh();
        return true;
    }
}
