using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Workers;
using Espalier.Io.Batches;
using Espalier.Ipsec;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Outbound;

/// <summary>Side exit of the outbound way: a packet that policy lets pass goes on in clear, past Espalier's own rules.</summary>
internal sealed class BypassStage(IBypassSender? sender, BatchClock clock, WorkerCounters counters)
{
    private readonly BypassLoopDetector _loops = new();

    /// <summary>Sends one packet, or says why not.</summary>
    public DropReason Send(Span<byte> packet, IpVersion version)
    {
        if (_loops.IsLoop(packet, version, clock.Milliseconds))
        {
            return DropReason.OutboundBypassLoop;
        }

        if (sender is null || sender.Send(packet) != 0)
        {
            return DropReason.OutboundBypassFailure;
        }

        counters.Add(TrafficCounter.BypassedPackets);
        counters.Add(TrafficCounter.BypassedBytes, packet.Length);
        return DropReason.None;
    }
}
