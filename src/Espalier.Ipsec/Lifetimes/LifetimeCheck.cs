using Espalier.Ipsec.Sad;

namespace Espalier.Ipsec.Lifetimes;

/// <summary>What the limits of bytes and packets say about an SA.</summary>
internal enum LifetimeVerdict : byte
{
    /// <summary>Go on.</summary>
    Good,

    /// <summary>Go on, and tell that a soft limit is met; said once.</summary>
    SoftExpired,

    /// <summary>Stop, and tell that a hard limit is met; said once, because the SA is Expired from then on.</summary>
    HardExpired,
}

/// <summary>
/// Limits of bytes and packets as the kernel's xfrm_state_check_expire has them: looked at before a packet is counted, and met when the count is equal.
/// So with a limit of ten packets ten pass, and the eleventh is refused. On the worker that owns the SA.
/// </summary>
internal static class LifetimeCheck
{
    public static LifetimeVerdict Check(SecurityAssociation sa)
    {
        ref var usage = ref sa.Usage;
        var limits = sa.Limits;
        if (usage.Bytes >= limits.HardBytes || usage.Packets >= limits.HardPackets)
        {
            sa.State = SaState.Expired;
            return LifetimeVerdict.HardExpired;
        }

        if (!sa.Dying && (usage.Bytes >= limits.SoftBytes || usage.Packets >= limits.SoftPackets))
        {
            sa.Dying = true;
            return LifetimeVerdict.SoftExpired;
        }

        return LifetimeVerdict.Good;
    }

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

    public static IpsecEventKind? ToNotice(LifetimeVerdict verdict) => verdict switch
    {
        LifetimeVerdict.SoftExpired => IpsecEventKind.SoftExpired,
        LifetimeVerdict.HardExpired => IpsecEventKind.HardExpired,
        _ => null,
    };
}
