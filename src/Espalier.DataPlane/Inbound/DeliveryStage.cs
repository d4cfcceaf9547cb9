using Espalier.DataPlane.Counters;
using Espalier.Io.Batches;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Inbound;

/// <summary>Last stage inbound: the packets of a batch that passed are written to the TUN, in order of arrival.</summary>
internal sealed class DeliveryStage(ITunnelDevice tunnel, WorkerCounters counters, int capacity)
{
    private readonly int[] _slots = new int[capacity];
    private int _count;

    /// <summary>Takes one packet that passed; its slot says where the inner packet stands.</summary>
    public void Add(int slot) => _slots[_count++] = slot;

    /// <summary>Writes them.</summary>
    public void Deliver(PacketBatch batch)
    {
        foreach (int slot in _slots.AsSpan(0, _count))
        {
            var packet = batch.Packet(slot);
            if (tunnel.Send(packet) == 0)
            {
                counters.Add(TrafficCounter.InboundPackets);
                counters.Add(TrafficCounter.InboundBytes, packet.Length);
            }
            else
            {
                counters.Drop(DropReason.InboundTunRefused);
            }
        }

        _count = 0;
    }
}
