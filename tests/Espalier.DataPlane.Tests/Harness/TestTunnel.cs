using Espalier.Io.Batches;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>A TUN in memory: the test puts packets in as the kernel would, and sees what the data plane wrote.</summary>
internal sealed class TestTunnel(int capacity = 256) : ITunnelDevice
{
    public TestPacketQueue ToDataPlane { get; } = new(capacity);

    /// <summary>What was written, where <see cref="Record"/> is set.</summary>
    public List<byte[]> Written { get; } = [];

    public bool Record { get; set; } = true;

    public long WrittenCount { get; private set; }

    /// <summary>Errno with which writes are refused, 0 = they are taken.</summary>
    public int Refusal { get; set; }

    public int PollDescriptor => -1;

    public void Put(ReadOnlySpan<byte> packet) => ToDataPlane.Enqueue(packet, default);

    public int Receive(PacketBatch batch)
    {
        lock (ToDataPlane)
        {
            return ToDataPlane.Receive(batch);
        }
    }

    public int Send(ReadOnlySpan<byte> packet)
    {
        if (Refusal != 0)
        {
            return Refusal;
        }

        WrittenCount++;
        if (Record)
        {
            Written.Add(packet.ToArray());
        }

        return 0;
    }

    public void Dispose()
    {
    }
}
