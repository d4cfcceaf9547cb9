using Espalier.Ike.Tests.Daemons;

namespace Espalier.Ike.Tests.Topologies;

/// <summary>Who stands on which side.</summary>
public static class Pairs
{
    /// <summary>Espalier as moon, as sun, and on both sides.</summary>
    public static TheoryData<Plane, Plane> All { get; } = new()
    {
        { Plane.Espalier, Plane.Libipsec },
        { Plane.Libipsec, Plane.Espalier },
        { Plane.Espalier, Plane.Espalier },
    };

    /// <summary>Espalier as moon, against both.</summary>
    public static TheoryData<Plane> Peers { get; } = [Plane.Libipsec, Plane.Espalier];
}
