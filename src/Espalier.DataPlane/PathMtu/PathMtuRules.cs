using System.Runtime.CompilerServices;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.PathMtu;

/// <summary>Which path MTUs are believed, and what stands for one that is not known.</summary>
internal static class PathMtuRules
{
    /// <summary>RFC 1191 §3 lets a host refuse to go below 576, the size that every host accepts; an attacker gains nothing by less.</summary>
    public const int FloorIPv4 = 576;

    /// <summary>RFC 8201 §4: a Packet Too Big with less is discarded.</summary>
    public const int FloorIPv6 = IPv6Packet.MinimumMtu;

    // RFC 1191 §7.1: what links have, for routers that leave the next-hop MTU zero.
    private static ReadOnlySpan<ushort> Plateaus => [32000, 17914, 8166, 4352, 2002, 1492, 1006, 576];

    /// <summary>The outer path MTU to plan with: what was learnt, else the default.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Effective(SecurityAssociation association, int defaultMtu) =>
        association.PathMtu > 0 ? association.PathMtu : defaultMtu;

    /// <summary>The path MTU to take from what an error reported while <paramref name="current"/> was in use; 0 = none, the error is ignored.</summary>
    public static int Accept(IpVersion version, int reported, int current)
    {
        int mtu = reported;
        if (version == IpVersion.IPv6)
        {
            return mtu >= FloorIPv6 && mtu < current ? mtu : 0;
        }

        if (mtu <= 0)
        {
            mtu = PlateauBelow(current);
        }

        mtu = Math.Max(mtu, FloorIPv4);
        return mtu < current ? mtu : 0;
    }

    private static int PlateauBelow(int current)
    {
        foreach (ushort plateau in Plateaus)
        {
            if (plateau < current)
            {
                return plateau;
            }
        }

        return FloorIPv4;
    }
}
