using Espalier.Wire.Addresses;

namespace Espalier.Routing.Addresses;

/// <summary>
/// What this host delivers to itself, at one moment. Immutable. Whole addresses stand in a hash set; prefixes (127.0.0.0/8, AnyIP) in one hash set for
/// each length in use, so that a look-up costs one probe for each of the few lengths.
/// </summary>
internal sealed class LocalAddressSnapshot
{
    // RFC 1112 §4, RFC 4291 §2.7.
    private static readonly AddressPrefix MulticastIPv4 = AddressPrefix.Parse("224.0.0.0/4");
    private static readonly AddressPrefix MulticastIPv6 = AddressPrefix.Parse("ff00::/8");
    private static readonly InternetAddress LimitedBroadcast = InternetAddress.Parse("255.255.255.255");

    private readonly HashSet<InternetAddress> _addresses = [];
    private readonly (int Length, HashSet<InternetAddress> Prefixes)[] _prefixes;

    internal LocalAddressSnapshot(IEnumerable<AddressPrefix> delivered)
    {
        SortedDictionary<int, HashSet<InternetAddress>> byLength = [];
        foreach (var prefix in delivered)
        {
            if (prefix.Length == prefix.Address.BitLength)
            {
                _addresses.Add(prefix.Address);
                continue;
            }

            // Lengths of the two versions share a set: the version is part of an address.
            if (!byLength.TryGetValue(prefix.Length, out var prefixes))
            {
                byLength[prefix.Length] = prefixes = [];
            }

            prefixes.Add(prefix.Canonical.Address);
        }

        _prefixes = [.. byLength.Select(static pair => (pair.Key, pair.Value))];
    }

    /// <summary>True where the host delivers packets to <paramref name="address"/> to itself. Allocates nothing; any thread.</summary>
    internal bool Contains(InternetAddress address)
    {
        if (_addresses.Contains(address) || address == LimitedBroadcast || MulticastIPv4.Contains(address) || MulticastIPv6.Contains(address))
        {
            return true;
        }

        foreach (var (length, prefixes) in _prefixes)
        {
            if (prefixes.Contains(address.Masked(length)))
            {
                return true;
            }
        }

        return false;
    }
}
