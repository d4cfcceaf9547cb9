using System.Diagnostics.CodeAnalysis;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>An outer socket in memory; what it sends goes to its network.</summary>
internal sealed class MemoryOuterSocket(MemoryNetwork network, IpVersion version, ushort port) : IOuterSocket
{
    private readonly Queue<(OuterError Error, byte[] Quoted)> _errors = new();

    public PacketRing Inbox { get; } = new(network.QueueLength);

    public IpVersion Version { get; } = version;

    public ushort LocalPort { get; } = port;

    public int PollDescriptor => -1;

    public long KernelDrops => Inbox.Dropped;

    public bool IsDisposed { get; private set; }

    /// <summary>Errno for a packet, 0 = send it.</summary>
    public Func<PacketSlot, int>? Refusal { get; set; }

    public int Calls { get; private set; }

    public int Receive(PacketBatch batch)
    {
        lock (Inbox)
        {
            return Inbox.Receive(batch);
        }
    }

    public int Send(PacketBatch batch, ReadOnlySpan<int> slots)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        Calls++;
        int sent = 0;
        foreach (int index in slots)
        {
            ref var slot = ref batch[index];
            slot.Error = Refusal?.Invoke(slot) ?? 0;
            if (slot.Error == 0)
            {
                network.Carry(this, batch.Packet(index), slot);
                sent++;
            }
        }

        return sent;
    }

    public void QueueError(OuterError error, byte[] quoted) => _errors.Enqueue((error with { QuotedLength = quoted.Length }, quoted));

    public bool TryReceiveError(Span<byte> quoted, out OuterError error)
    {
        if (!_errors.TryDequeue(out var entry))
        {
            error = default;
            return false;
        }

        int length = Math.Min(quoted.Length, entry.Quoted.Length);
        entry.Quoted.AsSpan(0, length).CopyTo(quoted);
        error = entry.Error with { QuotedLength = length };
        return true;
    }

    public void Dispose() => IsDisposed = true;
}

/// <summary>One host's stack towards the network: its sockets, and where their packets go.</summary>
internal sealed class MemoryNetwork(int queueLength = 256) : IOuterSocketFactory
{
    private readonly List<MemoryOuterSocket> _sockets = [];

    public int QueueLength { get; } = queueLength;

    public MemoryNetwork? Peer { get; set; }

    public IReadOnlyList<MemoryOuterSocket> Sockets => _sockets;

    public bool Record { get; set; } = true;

    /// <summary>What was sent: the payload, and how.</summary>
    public List<(byte[] Packet, PacketSlot About, ushort LocalPort)> Sent { get; } = [];

    public long SentCount { get; private set; }

    /// <summary>Ports that others have.</summary>
    public HashSet<ushort> Taken { get; } = [];

    public bool TryOpen(
        IpVersion version, ushort localPort, [NotNullWhen(true)] out IOuterSocket? socket, [NotNullWhen(false)] out string? error)
    {
        socket = null;
        error = null;
        if (Taken.Contains(localPort))
        {
            error = $"UDP port {localPort} is taken";
            return false;
        }

        var opened = new MemoryOuterSocket(this, version, localPort);
        _sockets.Add(opened);
        socket = opened;
        return true;
    }

    public string? OpenSender(IpVersion version, ushort localPort, out IOuterSocket? socket)
    {
        socket = new MemoryOuterSocket(this, version, localPort);
        return null;
    }

    public MemoryOuterSocket? Find(IpVersion version, ushort port) =>
        _sockets.LastOrDefault(socket => socket.Version == version && socket.LocalPort == port && !socket.IsDisposed);

    public void Carry(MemoryOuterSocket from, ReadOnlySpan<byte> packet, in PacketSlot slot)
    {
        // Several workers send at once.
        lock (Sent)
        {
            SentCount++;
            if (Record)
            {
                Sent.Add((packet.ToArray(), slot, from.LocalPort));
            }
        }

        Peer?.Arrive(packet, slot, from.LocalPort);
    }

    /// <summary>A packet comes in from outside: seen from the sender, its Remote is this host.</summary>
    public void Arrive(ReadOnlySpan<byte> packet, in PacketSlot sent, ushort senderPort)
    {
        foreach (var socket in _sockets)
        {
            if (socket.Version == sent.Remote.Version && socket.LocalPort == sent.RemotePort && !socket.IsDisposed)
            {
                var about = new PacketSlot { Remote = sent.Local, RemotePort = senderPort, Local = sent.Remote, TrafficClass = sent.TrafficClass };
                lock (socket.Inbox)
                {
                    socket.Inbox.Enqueue(packet, about);
                }

                return;
            }
        }
    }
}
