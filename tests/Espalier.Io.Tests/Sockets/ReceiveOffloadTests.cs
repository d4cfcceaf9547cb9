using System.Buffers.Binary;
using System.Diagnostics;
using Espalier.Io.Batches;
using Espalier.Io.Sockets;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using static Espalier.Io.Tests.Sockets.SocketTestSupport;

namespace Espalier.Io.Tests.Sockets;

/// <summary>
/// A port shared with a daemon on an interface that runs GRO: there the kernel joins datagrams before it looks at what they say, and chooses by its own look-up
/// whether a socket wants that. On a veth that takes the sender's offloads off, and GRO and threaded NAPI on at the receiver.
/// <code>
///   left 10.77.0.1, fd77::1 ──veth, offloads off          GRO on, threaded──  10.77.0.2, fd77::2 right: receiver, relay, daemon
/// </code>
/// </summary>
public sealed class ReceiveOffloadTests : IDisposable
{
    private const ushort Port = 4500;
    private const int Peers = 16;
    private const int Rounds = 400;
    private readonly NetworkNamespace _left = NetworkNamespace.Create("left");
    private readonly NetworkNamespace _right = NetworkNamespace.Create("right");

    public ReceiveOffloadTests()
    {
        Requirement.Tool("ethtool");
        _left.LinkTo(_right, "gro0", ["10.77.0.1/24", "fd77::1/64"], ["10.77.0.2/24", "fd77::2/64"]);
        _left.Exec("ethtool", "-K", "gro0", "tso", "off", "gso", "off", "tx-udp-segmentation", "off");
        _right.Exec("ethtool", "-K", "gro0", "gro", "on");
        _right.Exec("sh", "-c", "echo 1 >/sys/class/net/gro0/threaded");

        // Half a millisecond in which datagrams that belong together may meet, however soon the kernel's thread wakes.
        _right.Exec("sh", "-c", "echo 500000 >/sys/class/net/gro0/gro_flush_timeout");
    }

    public void Dispose()
    {
        _left.Dispose();
        _right.Dispose();
    }

    [Theory]
    [InlineData("10.77.0.2", true)]
    [InlineData("fd77::2", true)]
    [InlineData("10.77.0.2", false)]
    public void SharedPort_OnAnInterfaceThatRunsGro_NothingReachesTheWrongSocket(string address, bool offload)
    {
        var local = InternetAddress.Parse(address);
        using var receiver = _right.Run(() => UdpEncapsulationSocket.Open(
            Options(local.Version, Port) with { Interface = "gro0", ReceiveOffload = offload, ReceiveBuffer = 64 << 20 }));
        Assert.Equal(offload, receiver.ReceiveOffload);
        using var relay = _right.Run(() => LoopbackRelay.Open(0));
        using var daemon = _right.Run(() => new DaemonSocket(new InternetAddress(local.Version, UInt128.Zero), Port));
        var senders = _left.Run(() => Enumerable.Range(0, Peers)
            .Select(i => new DaemonSocket(new InternetAddress(local.Version, UInt128.Zero), (ushort)(50_000 + (i * 97)))).ToArray());
        var peers = new Dictionary<ushort, Peer>();
        for (int i = 0; i < Peers; i++)
        {
            peers.Add((ushort)(50_000 + (i * 97)), new Peer());
        }

        int sent = 0;
        var batch = new PacketBatch(16, 128 + 65_536, 128, packetsPerSlot: 128);
        Meet(senders[0], local, receiver, batch);
        for (int round = 0; round < Rounds; round++)
        {
            // Of one peer four datagrams of one size or not, ESP and IKE mixed as the round says, then the next peer's.
            for (int i = 0; i < Peers; i++)
            {
                for (int k = 0; k < 4; k++)
                {
                    bool ike = ((round >> k) & 1) != 0;
                    int length = (round & 16) == 0 ? 600 : 400 + (((round + (k * 37)) % 8) * 100);
                    senders[i].Send(Datagram(ike, (uint)((round * 4) + k), length), local, Port);
                    sent++;
                }
            }

            // A veth holds 256 packets for its receiver.
            Drain(receiver, batch, relay, daemon, peers, ref sent);
        }

        Assert.Equal(0, receiver.KernelDrops);
        Assert.All(peers, peer => Assert.Equal((Rounds * 4, 0), (peer.Value.Esp.Count + peer.Value.Ike.Count, peer.Value.Wrong)));
        Assert.All(peers, peer => Assert.Equal(offload, peer.Value.Joined > Rounds / 4));
        TestContext.Current.TestOutputHelper?.WriteLine(string.Join(", ", peers.Select(peer => $"{peer.Key}: {peer.Value.Joined} joined, longest {peer.Value.Longest}")));
        Array.ForEach(senders, sender => sender.Dispose());
    }

    // Until the two ends know each other's link-layer address, the kernel keeps a few datagrams only.
    private static void Meet(DaemonSocket sender, InternetAddress local, UdpEncapsulationSocket receiver, PacketBatch batch)
    {
        sender.Send([1], local, Port);
        Assert.Equal(1, Receive(receiver, batch));
        Assert.Equal(1, batch.Count);
    }

    private static byte[] Datagram(bool ike, uint number, int length)
    {
        byte[] bytes = Payload(length);
        BinaryPrimitives.WriteUInt32BigEndian(bytes, ike ? 0 : 0x1000u);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(4), number);
        return bytes;
    }

    private static void Drain(
        UdpEncapsulationSocket receiver, PacketBatch batch, LoopbackRelay relay, DaemonSocket daemon, Dictionary<ushort, Peer> peers, ref int left)
    {
        // A bound against hanging, not an assertion on time.
        var limit = Stopwatch.StartNew();
        do
        {
            while (receiver.Receive(batch) > 0)
            {
                for (int i = 0; i < batch.Count; i++)
                {
                    peers[batch[i].RemotePort].See(batch, i);
                    if (BinaryPrimitives.ReadUInt32BigEndian(batch.Packet(i)) == 0)
                    {
                        Assert.Equal(0, relay.Relay(batch[i], batch.Packet(i), Port));
                    }
                    else
                    {
                        left--;
                    }
                }
            }

            while (daemon.Receive(wait: false) is { } message)
            {
                peers[message.RemotePort].Take(message);
                left--;
            }
        }
        while (left > 0 && limit.Elapsed < TimeSpan.FromSeconds(10));
    }

    /// <summary>What came from one source port.</summary>
    private sealed class Peer
    {
        private int _run;

        public HashSet<uint> Esp { get; } = [];

        public HashSet<uint> Ike { get; } = [];

        public int Wrong { get; private set; }

        public int Joined { get; private set; }

        public int Longest { get; private set; }

        public void See(PacketBatch batch, int index)
        {
            var packet = batch.Packet(index);
            bool ike = BinaryPrimitives.ReadUInt32BigEndian(packet) == 0;
            Check(packet, ike);
            if (!ike)
            {
                Esp.Add(BinaryPrimitives.ReadUInt32BigEndian(packet[4..]));
            }

            bool joined = index > 0 && batch[index].Offset / batch.SlotSize == batch[index - 1].Offset / batch.SlotSize;
            _run = joined ? _run + 1 : 1;
            Joined += joined ? 1 : 0;
            Longest = Math.Max(Longest, _run);
        }

        public void Take(DaemonMessage message)
        {
            Check(message.Payload, ike: true);
            Ike.Add(BinaryPrimitives.ReadUInt32BigEndian(message.Payload.AsSpan(4)));
        }

        private void Check(ReadOnlySpan<byte> packet, bool ike)
        {
            uint number = BinaryPrimitives.ReadUInt32BigEndian(packet[4..]);
            Wrong += packet.SequenceEqual(Datagram(ike, number, packet.Length)) ? 0 : 1;
        }
    }
}
