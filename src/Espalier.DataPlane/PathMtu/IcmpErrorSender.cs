using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Wire.Addresses;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.PathMtu;

/// <summary>Tells the senders of packets that are too large for their tunnel so, within the rules and the rate, and counts what it did. One worker's.</summary>
internal sealed class IcmpErrorSender(IIcmpSender? socket, BatchClock clock, WorkerCounters counters)
{
    private readonly IcmpRateLimiter _limiter = new();
    private readonly byte[] _message = GC.AllocateArray<byte>(IcmpErrorMessage.MaximumLength, pinned: true);

    /// <summary>Sends the error for one packet, or withholds it.</summary>
    /// <param name="packet">The packet, whole.</param>
    /// <param name="summary">What the parser found in it.</param>
    /// <param name="mtu">The largest packet that fits.</param>
    public void TooBig(ReadOnlySpan<byte> packet, in PacketSummary summary, int mtu)
    {
        if (socket is null || !IcmpErrorRules.MayReportTooBig(summary) || !_limiter.TryTake(clock.Milliseconds))
        {
            counters.Add(TrafficCounter.IcmpErrorsWithheld);
            return;
        }

        int length = summary.Version == IpVersion.IPv6
            ? IcmpErrorMessage.WritePacketTooBig(_message, packet, mtu)
            : IcmpErrorMessage.WriteFragmentationNeeded(_message, packet, mtu);
        bool sent = socket.Send(summary.Source, _message.AsSpan(0, length)) == 0;
        counters.Add(sent ? TrafficCounter.IcmpErrorsSent : TrafficCounter.IcmpErrorsWithheld);
    }
}
