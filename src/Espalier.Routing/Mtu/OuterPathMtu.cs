using Espalier.Ipsec;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Mtu;

/// <summary>
/// Path MTUs of the outer packets, one for each outer destination: what the route says, lowered by what ICMP reported.
/// <list type="bullet">
/// <item>RFC 1191 §3, RFC 8201 §4: a report never raises the estimate; one that is not lower changes nothing.</item>
/// <item>Floors: 576 for IPv4, below which a report is raised to it; 1,280 for IPv6, below which a report is discarded (RFC 8201 §4).</item>
/// <item>RFC 1191 §7.1: a report of 0, from a router that does not know the field, means the next lower plateau.</item>
/// <item>RFC 1191 §6.3, RFC 8201 §4: a lowered estimate is forgotten after 10 minutes, and the path is tried again.</item>
/// </list>
/// Owned by the control thread.
/// </summary>
public sealed class OuterPathMtu
{
    /// <summary>Smallest estimate for IPv4: every host takes a datagram of 576 bytes (RFC 791 §3.2).</summary>
    public const int FloorIPv4 = 576;

    /// <summary>Smallest estimate for IPv6 (RFC 8200 §5).</summary>
    public const int FloorIPv6 = 1280;

    /// <summary>Where no route says more.</summary>
    public const int Unknown = 1500;

    /// <summary>Largest IP packet: a loopback device has an MTU of 65,536, which no packet can fill.</summary>
    private const int LargestPacket = 65_535;

    // RFC 1191 §7.1, table 7-1.
    private static readonly int[] Plateaus = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 576];

    private static readonly TimeSpan Age = TimeSpan.FromMinutes(10);

    private readonly Dictionary<InternetAddress, Estimate> _estimates = [];
    private readonly TimeProvider _clock;

    /// <summary>With a clock; its monotonic time is used.</summary>
    public OuterPathMtu(TimeProvider clock) => _clock = clock;

    /// <summary>The estimate for a destination; <see cref="Unknown"/> for one never told of.</summary>
    public int this[InternetAddress destination] => _estimates.TryGetValue(destination, out var estimate) ? estimate.Current : Unknown;

    /// <summary>Sets what the route to a destination allows; 0 = no route says. Returns true where the estimate changed.</summary>
    public bool SetRouteMtu(InternetAddress destination, int mtu)
    {
        int allowed = mtu == 0 ? Unknown : Math.Clamp(mtu, FloorOf(destination), LargestPacket);
        int before = this[destination];
        var estimate = _estimates.GetValueOrDefault(destination);
        _estimates[destination] = estimate with { Route = allowed };
        return before != this[destination] || estimate.Route == 0;
    }

    /// <summary>Takes a report of ICMP; true where it lowered the estimate.</summary>
    public bool Learn(InternetAddress destination, int reported)
    {
        int current = this[destination];
        int floor = FloorOf(destination);
        if (reported == 0 && destination.Version == IpVersion.IPv4)
        {
            reported = Array.Find(Plateaus, plateau => plateau < current);
        }

        if (reported < floor && destination.Version == IpVersion.IPv6)
        {
            return false;
        }

        reported = Math.Max(reported, floor);
        if (reported >= current)
        {
            return false;
        }

        var estimate = _estimates.GetValueOrDefault(destination);
        _estimates[destination] = new Estimate(estimate.Route == 0 ? Unknown : estimate.Route, reported, _clock.GetTimestamp());
        return true;
    }

    /// <summary>Forgets what is older than 10 minutes and returns those destinations.</summary>
    public IReadOnlyList<InternetAddress> Expire()
    {
        List<InternetAddress> changed = [];
        foreach (var (destination, estimate) in _estimates)
        {
            if (estimate.Learned != 0 && _clock.GetElapsedTime(estimate.LearnedAt) >= Age)
            {
                changed.Add(destination);
            }
        }

        foreach (var destination in changed)
        {
            _estimates[destination] = _estimates[destination] with { Learned = 0 };
        }

        return changed;
    }

    /// <summary>Time until <see cref="Expire"/> has something to do; null = nothing was learnt.</summary>
    public TimeSpan? UntilExpiry()
    {
        TimeSpan? least = null;
        foreach (var estimate in _estimates.Values)
        {
            if (estimate.Learned != 0)
            {
                var left = Age - _clock.GetElapsedTime(estimate.LearnedAt);
                least = least is null || left < least ? left : least;
            }
        }

        return least < TimeSpan.Zero ? TimeSpan.Zero : least;
    }

    /// <summary>Forgets a destination: no SA goes there any more.</summary>
    public void Remove(InternetAddress destination) => _estimates.RemoveAndShrink(destination);

    private static int FloorOf(InternetAddress destination) => destination.Version == IpVersion.IPv6 ? FloorIPv6 : FloorIPv4;

    /// <summary>Learned 0 = nothing below the route's value.</summary>
    private readonly record struct Estimate(int Route, int Learned, long LearnedAt)
    {
        internal int Current => Learned != 0 && Learned < Route ? Learned : Route;
    }
}
