using System.Runtime.CompilerServices;
using Espalier.Ipsec.Spd;

namespace Espalier.DataPlane.Workers;

/// <summary>
/// Counts the use of policies. Where several workers share them, packets in a row under one policy are added together, by interlocked operations, when the row or
/// the batch ends. One worker's.
/// </summary>
internal sealed class PolicyUse(bool isShared)
{
    private SecurityPolicy? _policy;
    private ulong _packets;
    private ulong _bytes;

    /// <summary>One packet of <paramref name="length"/> bytes was decided by this policy.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Count(SecurityPolicy policy, int length, ulong nowUnixSeconds)
    {
        if (isShared)
        {
            if (!ReferenceEquals(policy, _policy))
            {
                Settle(nowUnixSeconds);
                _policy = policy;
            }

            _packets++;
            _bytes += (ulong)length;
            return;
        }

        ref var usage = ref policy.Usage;
        usage.Packets++;
        usage.Bytes += (ulong)length;
        usage.LastUsed = nowUnixSeconds;
        if (usage.UseTime == 0)
        {
            usage.UseTime = nowUnixSeconds;
        }
    }

    /// <summary>At the end of a batch, inside the gate: what was counted stands in the policies.</summary>
    public void Settle(ulong nowUnixSeconds)
    {
        if (_policy is null)
        {
            return;
        }

        ref var usage = ref _policy.Usage;
        Interlocked.Add(ref usage.Packets, _packets);
        Interlocked.Add(ref usage.Bytes, _bytes);
        Interlocked.Exchange(ref usage.LastUsed, nowUnixSeconds);
        Interlocked.CompareExchange(ref usage.UseTime, nowUnixSeconds, 0);
        (_policy, _packets, _bytes) = (null, 0, 0);
    }
}
