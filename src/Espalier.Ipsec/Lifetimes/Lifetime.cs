namespace Espalier.Ipsec.Lifetimes;

/// <summary>
/// Limits of an SA or a policy (the kernel's xfrm_lifetime_cfg). <see cref="ulong.MaxValue"/> (XFRM_INF) means no limit for
/// bytes and packets; 0 means no limit for the times, which are seconds since it was added or first used.
/// </summary>
public readonly record struct LifetimeLimits(
    ulong SoftBytes, ulong HardBytes, ulong SoftPackets, ulong HardPackets,
    ulong SoftAddSeconds, ulong HardAddSeconds, ulong SoftUseSeconds, ulong HardUseSeconds)
{
    /// <summary>No limit at all.</summary>
    public static LifetimeLimits None { get; } =
        new(ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, 0, 0, 0, 0);
}

/// <summary>
/// What an SA or a policy has used up (the kernel's xfrm_lifetime_cur). Bytes are of inner packets. Times are Unix seconds, 0 = never.
/// Written by the owning worker, read by the control thread while workers are frozen.
/// </summary>
public struct LifetimeUsage
{
    /// <summary>Bytes of inner packets, authenticated ones only.</summary>
    public ulong Bytes;

    /// <summary>Packets, authenticated ones only.</summary>
    public ulong Packets;

    /// <summary>When it was added.</summary>
    public ulong AddTime;

    /// <summary>When it was first used.</summary>
    public ulong UseTime;

    /// <summary>When it was last used (XFRMA_LASTUSED).</summary>
    public ulong LastUsed;
}
