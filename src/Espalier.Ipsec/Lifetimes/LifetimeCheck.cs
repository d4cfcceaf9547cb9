using System.Runtime.CompilerServices;
using Espalier.Ipsec.Sad;

namespace Espalier.Ipsec.Lifetimes;

/// <summary>
/// Limits of bytes and packets as the kernel's xfrm_state_check_expire has them: looked at before a packet is counted, and met when the count is equal.
/// So with a limit of ten packets ten pass, and the eleventh is refused. On the worker that owns the SA.
/// </summary>
internal static class LifetimeCheck
{
    /// <summary>Looks at the limits.</summary>
    /// <param name="sa">The SA, in its worker's batch; its state follows the verdict.</param>
    /// <param name="notice">The event to post, or null.</param>
    /// <returns>False if a hard limit is met: the packet must be dropped.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool Allows(SecurityAssociation sa, out IpsecEventKind? notice)
    {
        ref var usage = ref sa.Usage;
        ref readonly var limits = ref sa.Limits;
        notice = null;
        if (usage.Bytes >= limits.HardBytes || usage.Packets >= limits.HardPackets)
        {
            sa.State = SaState.Expired;
            notice = IpsecEventKind.HardExpired;
            return false;
        }

        if (!sa.Dying && (usage.Bytes >= limits.SoftBytes || usage.Packets >= limits.SoftPackets))
        {
            sa.Dying = true;
            notice = IpsecEventKind.SoftExpired;
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Count(SecurityAssociation sa, int bytes, ulong nowUnixSeconds)
    {
        ref var usage = ref sa.Usage;
        usage.Bytes += (uint)bytes;
        usage.Packets++;
        usage.LastUsed = nowUnixSeconds;
        if (usage.UseTime == 0)
        {
            usage.UseTime = nowUnixSeconds;
        }
    }
}
