using Espalier.Ipsec.Spd;

namespace Espalier.DataPlane.Workers;

/// <summary>Counts the use of policies. The direction's worker only.</summary>
internal static class PolicyUse
{
    /// <summary>One packet of <paramref name="length"/> bytes was decided by this policy.</summary>
    public static void Count(SecurityPolicy policy, int length, ulong nowUnixSeconds)
    {
        ref var usage = ref policy.Usage;
        usage.Packets++;
        usage.Bytes += (ulong)length;
        usage.LastUsed = nowUnixSeconds;
        if (usage.UseTime == 0)
        {
            usage.UseTime = nowUnixSeconds;
        }
    }
}
