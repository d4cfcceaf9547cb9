using Espalier.Io.Netlink;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Addresses;

/// <summary>
/// The addresses that this host can send from, and the choice among those inside a policy's source selector. Owned by the control thread.
/// </summary>
internal sealed class SourceAddresses(RouteNetlink netlink, uint mark)
{
    private static readonly AddressPrefix LoopbackIPv4 = AddressPrefix.Parse("127.0.0.0/8");
    private static readonly AddressPrefix LinkLocalIPv6 = AddressPrefix.Parse("fe80::/10");
    private static readonly InternetAddress LoopbackIPv6 = InternetAddress.Parse("::1");

    private static readonly Comparer<InternetAddress> ByBits = Comparer<InternetAddress>.Create(Compare);

    private readonly Dictionary<InternetAddress, InternetAddress> _routed = [];
    private readonly Dictionary<InternetAddress, bool> _deprecated = [];

    // Sorted by version and bits, so that the addresses of a prefix stand together.
    private InternetAddress[] _sorted = [];

    /// <summary>Reads the addresses anew, and forgets which source the kernel's own routes choose; true where the addresses differ from those known before.</summary>
    internal bool Refresh()
    {
        Dictionary<InternetAddress, bool> now = [];
        foreach (var address in netlink.GetAddresses())
        {
            var own = address.Prefix.Address;
            if (address.IsUsable && !LoopbackIPv4.Contains(own) && own != LoopbackIPv6 && !LinkLocalIPv6.Contains(own))
            {
                // The same address on two interfaces counts as preferred if it is on one of them.
                now[own] = address.IsDeprecated && now.GetValueOrDefault(own, true);
            }
        }

        _routed.Clear();
        bool changed = now.Count != _deprecated.Count;
        foreach (var (address, deprecated) in now)
        {
            changed |= !_deprecated.TryGetValue(address, out bool before) || before != deprecated;
        }

        if (changed)
        {
            _deprecated.Clear();
            foreach (var (address, deprecated) in now)
            {
                _deprecated.Add(address, deprecated);
            }

            _sorted = [.. now.Keys];
            Array.Sort(_sorted, Compare);
        }

        return changed;
    }

    /// <summary>True where this host has the address.</summary>
    internal bool Has(InternetAddress address) => _deprecated.ContainsKey(address);

    /// <summary>
    /// The host's address inside <paramref name="selector"/> for packets to <paramref name="destination"/>, or the default value where it has none.
    /// Among several: the one that the kernel's routes choose for that destination (or towards the tunnel's <paramref name="peer"/> where that says
    /// nothing), else the first that is not deprecated.
    /// </summary>
    internal InternetAddress Choose(AddressPrefix selector, AddressPrefix destination, InternetAddress peer)
    {
        var candidates = Inside(selector);
        if (candidates.Length <= 1)
        {
            return candidates.Length == 0 ? default : candidates[0];
        }

        foreach (var target in (ReadOnlySpan<InternetAddress>)[destination.Length == 0 ? default : destination.Canonical.Address, peer])
        {
            if (target.Version == selector.Version && !target.IsUnspecified && RoutedSource(target) is var routed && selector.Contains(routed) && Has(routed))
            {
                return routed;
            }
        }

        foreach (var candidate in candidates)
        {
            if (!_deprecated[candidate])
            {
                return candidate;
            }
        }

        return candidates[0];
    }

    private InternetAddress RoutedSource(InternetAddress destination)
    {
        if (!_routed.TryGetValue(destination, out var source))
        {
            source = netlink.QueryRoute(destination, default, mark)?.PreferredSource ?? default;
            _routed[destination] = source;
        }

        return source;
    }

    private ReadOnlySpan<InternetAddress> Inside(AddressPrefix selector)
    {
        var first = selector.Canonical.Address;
        int start = Array.BinarySearch(_sorted, first, ByBits);
        start = start < 0 ? ~start : start;
        int end = start;
        while (end < _sorted.Length && selector.Contains(_sorted[end]))
        {
            end++;
        }

        return _sorted.AsSpan(start, end - start);
    }

    private static int Compare(InternetAddress left, InternetAddress right) =>
        left.Version != right.Version ? left.Version.CompareTo(right.Version) : left.Bits.CompareTo(right.Bits);
}
