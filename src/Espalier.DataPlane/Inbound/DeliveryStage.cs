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
        var slots = _slots.AsSpan(0, _count);
        tunnel.Send(batch, slots);
        long packets = 0, bytes = 0;
        foreach (int index in slots)
        {
            ref readonly var slot = ref batch[index];
            if (slot.Error == 0)
            {
                packets++;
                bytes += slot.Length;
            }
            else
            {
                counters.Drop(DropReason.InboundTunRefused);
            }
        }

        counters.Add(TrafficCounter.InboundPackets, packets);
        counters.Add(TrafficCounter.InboundBytes, bytes);
        _count = 0;
    }
}
