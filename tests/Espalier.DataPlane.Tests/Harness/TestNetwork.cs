using System.Diagnostics.CodeAnalysis;
using Espalier.DataPlane.Sockets;
using Espalier.Io.Batches;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>One host's stack towards the network: its sockets, and where their packets go.</summary>
internal sealed class TestNetwork(int queueLength = 256) : IOuterSocketFactory
{
    private readonly List<TestOuterSocket> _sockets = [];

    public int QueueLength { get; } = queueLength;

    public TestNetwork? Peer { get; set; }

    public IReadOnlyList<TestOuterSocket> Sockets => _sockets;

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

        var opened = new TestOuterSocket(this, version, localPort);
        _sockets.Add(opened);
        socket = opened;
        return true;
    }

    public string? OpenSender(IpVersion version, ushort localPort, out IOuterSocket? socket)
    {
        socket = new TestOuterSocket(this, version, localPort);
        return null;
    }

    public TestOuterSocket? Find(IpVersion version, ushort port) =>
        _sockets.LastOrDefault(socket => socket.Version == version && socket.LocalPort == port && !socket.IsDisposed);

    public void Carry(TestOuterSocket from, ReadOnlySpan<byte> packet, in PacketSlot slot)
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
