using Espalier.Ipsec;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;

namespace Espalier.Routing.Mtu;

/// <summary>
/// The MTU of the TUN: the largest inner packet that any outbound SA carries. Smaller paths are the data plane's concern, SA by SA.
/// Keeps a count for each size, so that an SA that comes or goes costs no walk over the others. Owned by the control thread, workers frozen where it
/// writes into an SA.
/// </summary>
internal sealed class TunnelMtu(OuterPathMtu paths)
{
    /// <summary>Where there is no SA.</summary>
    internal const int WithoutSa = 1400;

    /// <summary>A buffer slot holds no more.</summary>
    internal const int Largest = 9216;

    private readonly Dictionary<SecurityAssociation, int> _inner = [];
    private readonly Dictionary<InternetAddress, HashSet<SecurityAssociation>> _byDestination = [];
    private readonly SortedDictionary<int, int> _counts = new(Comparer<int>.Create(static (left, right) => right.CompareTo(left)));

    /// <summary>True where an outbound SA goes to this address.</summary>
    internal bool HasDestination(InternetAddress destination) => _byDestination.ContainsKey(destination);

    /// <summary>The MTU to set. Never below 1,280 where the host has IPv6, which a smaller MTU would switch off on the device.</summary>
    internal int Current(bool withIPv6)
    {
        int floor = withIPv6 ? OuterPathMtu.FloorIPv6 : OuterPathMtu.FloorIPv4;
        foreach (int mtu in _counts.Keys)
        {
            return Math.Clamp(mtu, floor, Largest);
        }

        return WithoutSa;
    }

    /// <summary>Counts an outbound SA and tells it its path MTU.</summary>
    internal void Add(SecurityAssociation association)
    {
        var destination = association.Id.Destination;
        if (!_byDestination.TryGetValue(destination, out var associations))
        {
            _byDestination[destination] = associations = [];
        }

        if (associations.Add(association))
        {
            Count(association, paths[destination]);
        }
    }

    /// <summary>Forgets an SA, and its destination with the last one.</summary>
    internal void Remove(SecurityAssociation association)
    {
        if (!_inner.RemoveAndShrink(association, out int inner))
        {
            return;
        }

        Uncount(inner);
        var associations = _byDestination[association.Id.Destination];
        associations.RemoveAndShrink(association);
        if (associations.Count == 0)
        {
            _byDestination.RemoveAndShrink(association.Id.Destination);
            paths.Remove(association.Id.Destination);
        }
    }

    /// <summary>Takes over a destination's path MTU after it changed.</summary>
    internal void Update(InternetAddress destination)
    {
        if (_byDestination.TryGetValue(destination, out var associations))
        {
            foreach (var association in associations)
            {
                Uncount(_inner[association]);
                Count(association, paths[destination]);
            }
        }
    }

    private void Count(SecurityAssociation association, int pathMtu)
    {
        int inner = association.InnerMtu(pathMtu);
        association.PathMtu = pathMtu;
        _inner[association] = inner;
        _counts[inner] = _counts.GetValueOrDefault(inner) + 1;
    }

    private void Uncount(int inner)
    {
        if (--_counts[inner] == 0)
        {
            _counts.Remove(inner);
        }
    }
}
