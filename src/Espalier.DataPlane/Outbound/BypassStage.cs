using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Outbound;

/// <summary>Side exit of the outbound way: a packet that policy lets pass goes on in clear, past Espalier's own rules.</summary>
internal sealed class BypassStage(IBypassSender? sender, BatchClock clock, WorkerCounters counters)
{
    private const int MessageTooLong = 90;

    private readonly BypassLoopDetector _loops = new();

    /// <summary>Sends one packet, or says why not.</summary>
    /// <param name="packet">The packet.</param>
    /// <param name="summary">What the parser found in it.</param>
    /// <param name="mtu">Where it was too large for the way out: what fits there. Else 0.</param>
    public DropReason Send(Span<byte> packet, in PacketSummary summary, out int mtu)
    {
        mtu = 0;
        return _loops.IsLoop(packet, summary.Version, clock.Milliseconds) ? DropReason.OutboundBypassLoop : Send(packet, summary.Destination, out mtu);
    }

    /// <summary>Sends a piece of a packet that was too large.</summary>
    public DropReason SendFragment(ReadOnlySpan<byte> fragment, InternetAddress destination) => Send(fragment, destination, out _);

    private DropReason Send(ReadOnlySpan<byte> packet, InternetAddress destination, out int mtu)
    {
        mtu = 0;
        if (sender is null)
        {
            return DropReason.OutboundBypassFailure;
        }

        int errno = sender.Send(packet);
        if (errno != 0)
        {
            mtu = errno == MessageTooLong && sender.TakeMtu(destination) is var named && named < packet.Length ? named : 0;
            return DropReason.OutboundBypassFailure;
        }

        counters.Add(TrafficCounter.BypassedPackets);
        counters.Add(TrafficCounter.BypassedBytes, packet.Length);
        return DropReason.None;
    }
}
