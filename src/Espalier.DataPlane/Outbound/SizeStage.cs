using System.Runtime.CompilerServices;
using Espalier.Ipsec.Sad;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Outbound;

/// <summary>How an inner packet fits into its tunnel.</summary>
internal enum SizeVerdict : byte
{
    /// <summary>It fits.</summary>
    Fits,

    /// <summary>It fits if the outer packet may be fragmented.</summary>
    FitsInOuterFragments,

    /// <summary>IPv4 without DF: fragment it, then protect the fragments.</summary>
    Fragment,

    /// <summary>Its sender must make it smaller.</summary>
    TooBig,
}

/// <summary>Fifth stage outbound: the packet's size against the path MTU (RFC 4301 §8, RFC 2473 §7).</summary>
internal static class SizeStage
{
    /// <summary>RFC 791 §3.2: every link carries 68 bytes without fragmentation: a header with all options, and eight bytes.</summary>
    public const int MinimumMtuIPv4 = 68;

    /// <summary>Decides about one packet.</summary>
    /// <param name="association">Its SA.</param>
    /// <param name="summary">Its header.</param>
    /// <param name="pathMtu">Outer path MTU to the peer.</param>
    /// <param name="mtu">The largest inner packet that the sender should be told.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static SizeVerdict Decide(SecurityAssociation association, in PacketSummary summary, int pathMtu, out int mtu)
    {
        int payload = association.InnerMtu(pathMtu);
        if (summary.Version == IpVersion.IPv6)
        {
            // RFC 8200 §5: an IPv6 sender need not go below 1,280 bytes, so the tunnel must carry that much, in outer fragments if need be
            // (RFC 2473 §7.1).
            mtu = Math.Max(payload, IPv6Packet.MinimumMtu);
            return summary.TotalLength > mtu ? SizeVerdict.TooBig
                : summary.TotalLength > payload ? SizeVerdict.FitsInOuterFragments : SizeVerdict.Fits;
        }

        mtu = Math.Max(payload, MinimumMtuIPv4);
        if (summary.TotalLength <= mtu)
        {
            return summary.TotalLength > payload ? SizeVerdict.FitsInOuterFragments : SizeVerdict.Fits;
        }

        return summary.DontFragment ? SizeVerdict.TooBig : SizeVerdict.Fragment;
    }
}
