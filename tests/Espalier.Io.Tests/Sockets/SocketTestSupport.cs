using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Io.Sockets;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Tests.Sockets;

/// <summary>Builds batches and waits for sockets.</summary>
internal static class SocketTestSupport
{
    private const int WaitMilliseconds = 5000;

    /// <summary>A batch like the data plane's.</summary>
    internal static PacketBatch NewBatch(int slots = 32) => new(slots, 10_240, 128);

    /// <summary>A batch in which what is added lies one right behind the other.</summary>
    internal static PacketBatch NewRow(int slots = 32) => new(slots, 10_240, 128) { Spacing = new FrameSpacing(0, 0, 1, 0) };

    /// <summary>Appends a packet to the batch; returns its slot's index.</summary>
    internal static int Add(PacketBatch batch, ReadOnlySpan<byte> payload, InternetAddress remote, ushort port, InternetAddress local = default, byte trafficClass = 0, bool dontFragment = true)
    {
        int index = batch.Count;
        int offset = batch.NextOffset(payload.Length);
        payload.CopyTo(batch.Buffer.AsSpan(offset));
        batch.Append(payload.Length);
        batch[index] = new PacketSlot
        {
            Offset = offset,
            Length = payload.Length,
            Remote = remote,
            RemotePort = port,
            Local = local,
            TrafficClass = trafficClass,
            DontFragment = dontFragment,
            Error = -1,
        };
        return index;
    }

    /// <summary>Sends all slots of the batch in order.</summary>
    internal static int SendAll(IOuterSocket socket, PacketBatch batch)
    {
        Span<int> slots = stackalloc int[batch.Count];
        for (int i = 0; i < slots.Length; i++)
        {
            slots[i] = i;
        }

        return socket.Send(batch, slots);
    }

    /// <summary>Receives a batch, waiting for its first packet; 0 = nothing came.</summary>
    internal static int Receive(IOuterSocket socket, PacketBatch batch) => Wait(socket.PollDescriptor, Files.POLLIN) ? socket.Receive(batch) : 0;

    /// <summary>Takes an error, waiting for it.</summary>
    internal static bool ReceiveError(IOuterSocket socket, Span<byte> quoted, out OuterError error)
    {
        if (Wait(socket.PollDescriptor, 0))
        {
            return socket.TryReceiveError(quoted, out error);
        }

        error = default;
        return false;
    }

    /// <summary>Waits until a descriptor has something; false = nothing within five seconds.</summary>
    internal static unsafe bool Wait(int descriptor, short events)
    {
        pollfd entry = new() { fd = descriptor, events = events };
        return Libc.poll(&entry, 1, WaitMilliseconds) > 0;
    }

    /// <summary>Bytes 0, 1, 2, … after a first word that is no non-ESP marker.</summary>
    internal static byte[] Payload(int length, byte seed = 1)
    {
        byte[] payload = new byte[length];
        for (int i = 0; i < length; i++)
        {
            payload[i] = (byte)(seed + i);
        }

        return payload;
    }

    internal static OuterSocketOptions Options(IpVersion version, ushort port = 0) => new() { Version = version, Port = port };

    /// <summary>Receives until there are <paramref name="count"/> packets; no more may come with the last of them.</summary>
    internal static List<(PacketSlot Slot, byte[] Bytes)> ReceiveAll(OuterSocket socket, int count)
    {
        var batch = NewBatch();
        var packets = new List<(PacketSlot, byte[])>();
        while (packets.Count < count && Receive(socket, batch) > 0)
        {
            for (int i = 0; i < batch.Count; i++)
            {
                packets.Add((batch[i], batch.Packet(i).ToArray()));
            }
        }

        Assert.Equal(count, packets.Count);
        return packets;
    }
}
