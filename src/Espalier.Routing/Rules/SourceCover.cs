using Espalier.Ipsec;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Rules;

/// <summary>
/// The source prefixes of all policies that catch packets, of one IP version, and the smallest set of prefixes that covers them: what the routing rules
/// are narrowed to, so that traffic of other sources never sees the TUN. Where more than <see cref="LargestCover"/> prefixes would be needed, one
/// prefix for all stands in their place, so that the number of rules does not grow with the policies. Owned by the control thread.
/// </summary>
internal sealed class SourceCover(IpVersion version)
{
    /// <summary>Most prefixes that get a rule each.</summary>
    internal const int LargestCover = 8;

    // Above this many distinct prefixes the smallest cover is not worth its computation.
    private const int LargestComputed = 256;

    private readonly Dictionary<AddressPrefix, int> _counts = [];
    private AddressPrefix[] _cover = [];

    /// <summary>The cover; empty where nothing is caught.</summary>
    internal IReadOnlyList<AddressPrefix> Prefixes => _cover;

    /// <summary>True where a prefix went since the cover was computed, so that it may be too wide.</summary>
    internal bool IsStale { get; private set; }

    /// <summary>Adds a prefix; true where the cover had to grow.</summary>
    internal bool Add(AddressPrefix prefix)
    {
        prefix = prefix.Canonical;
        _counts[prefix] = _counts.GetValueOrDefault(prefix) + 1;
        return !Covers(_cover, _cover.Length, prefix) && Recompute();
    }

    /// <summary>Removes a prefix; the cover shrinks when <see cref="Recompute"/> is called.</summary>
    internal void Remove(AddressPrefix prefix)
    {
        prefix = prefix.Canonical;
        if (--_counts[prefix] == 0)
        {
            _counts.RemoveAndShrink(prefix);
            IsStale = true;
        }
    }

    /// <summary>Computes the smallest cover; true where it changed.</summary>
    internal bool Recompute()
    {
        IsStale = false;
        var before = _cover;
        _cover = Compute();
        return !before.AsSpan().SequenceEqual(_cover);
    }

    private AddressPrefix[] Compute()
    {
        var all = version == IpVersion.IPv4 ? AddressPrefix.AllIPv4 : AddressPrefix.AllIPv6;
        if (_counts.Count > LargestComputed || _counts.ContainsKey(all))
        {
            return [all];
        }

        var sorted = _counts.Keys.ToArray();
        Array.Sort(sorted, static (left, right) =>
            left.Length != right.Length ? left.Length.CompareTo(right.Length) : left.Address.Bits.CompareTo(right.Address.Bits));
        var cover = new AddressPrefix[LargestCover];
        int count = 0;
        foreach (var prefix in sorted)
        {
            if (Covers(cover, count, prefix))
            {
                continue;
            }

            if (count == LargestCover)
            {
                return [all];
            }

            cover[count++] = prefix;
        }

        return cover[..count];
    }

    private static bool Covers(AddressPrefix[] cover, int count, AddressPrefix prefix)
    {
        for (int i = 0; i < count; i++)
        {
            if (cover[i].Length <= prefix.Length && cover[i].Contains(prefix.Address))
            {
                return true;
            }
        }

        return false;
    }
}
