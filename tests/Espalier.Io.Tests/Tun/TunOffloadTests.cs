using System.Net;
using System.Net.Sockets;
using Espalier.Io.Batches;
using Espalier.Io.Tests.Sockets;
using Espalier.Io.Tun;
using Espalier.Testing;

namespace Espalier.Io.Tests.Tun;

/// <summary>
/// A TUN with and without offloads: what is read and written is the same packets; with them, super-packets cross the border.
/// <code>
/// UDP socket of the host ── routes 10.78.0.0/24 and fd78::/64 ── esp0 ── the test
/// </code>
/// </summary>
public sealed class TunOffloadTests : IDisposable
{
    private const int Size = 1000;
    private const int UdpSegment = 103;
    private readonly NetworkNamespace _host;

    public TunOffloadTests()
    {
        Requirement.Tun();
        _host = NetworkNamespace.Create("tun");
    }

    public void Dispose() => _host.Dispose();

    /// <summary>Offloads, the host's address, and the peer's.</summary>
    public static TheoryData<TunOffloads, string, string> Rungs
    {
        get
        {
            var data = new TheoryData<TunOffloads, string, string>();
            foreach (var offloads in new[] { TunOffloads.All, TunOffloads.Tcp, TunOffloads.None })
            {
                data.Add(offloads, "10.78.0.1", "10.78.0.2");
                data.Add(offloads, "fd78::1", "fd78::2");
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Rungs))]
    public void Receive_WhatTheHostSendsAsOne_IsPacketsAsOnTheWire(TunOffloads offloads, string host, string peer)
    {
        using var device = Open(offloads);
        using var socket = _host.Run(() => Bound(host, 7000));
        socket.SetRawSocketOption((int)SocketOptionLevel.Udp, UdpSegment, BitConverter.GetBytes(Size));
        byte[] sent = SocketTestSupport.Payload(40 * Size);
        socket.SendTo(sent, new IPEndPoint(IPAddress.Parse(peer), 9));

        // What was sent stands in the device's queue. A batch is smaller than the super-packet: the rest comes with the next one.
        var received = new List<byte[]>();
        var batch = SocketTestSupport.NewBatch(slots: 16);
        while (device.Receive(batch) > 0)
        {
            received.AddRange(Enumerable.Range(0, batch.Count).Select(i => batch.Packet(i).ToArray()).Where(IsUdp));
        }

        int header = (host.Contains(':', StringComparison.Ordinal) ? 40 : 20) + 8;
        Assert.Equal(40, received.Count);
        Assert.Equal(sent, received.SelectMany(packet => packet[header..]));
        Assert.All(received, packet => Assert.Equal(header + Size, packet.Length));
        Assert.All(received, AssertChecksum);
        Assert.Equal((device.Offloads & TunOffloads.Udp) != 0 ? 1 : 0, device.SuperPackets.Read);
    }

    [Theory]
    [InlineData("10.78.0.1", "10.78.0.2")]
    [InlineData("fd78::1", "fd78::2")]
    public void Receive_WithALimitOfSegments_CutsTheSuperPacketThereAndLosesNothing(string host, string peer)
    {
        using var device = Open(TunOffloads.All);
        using var socket = _host.Run(() => Bound(host, 7000));
        var batch = SocketTestSupport.NewBatch(slots: 64);
        while (device.Receive(batch) > 0)
        {
            // What the host says by itself when the device comes up.
        }

        byte[] sent = SocketTestSupport.Payload(40 * Size);
        var to = new IPEndPoint(IPAddress.Parse(peer), 9);
        Enumerable.Range(0, 3).ToList().ForEach(_ => socket.SendTo(new byte[Size], to));
        socket.SetRawSocketOption((int)SocketOptionLevel.Udp, UdpSegment, BitConverter.GetBytes(Size));
        socket.SendTo(sent, to);
        socket.SetRawSocketOption((int)SocketOptionLevel.Udp, UdpSegment, BitConverter.GetBytes(0));
        Enumerable.Range(0, 20).ToList().ForEach(_ => socket.SendTo(new byte[Size], to));

        // Three packets and 13 segments; 16 segments; 11 segments and, since no segment is left, all of the single packets. A kernel before 6.2 cuts itself.
        batch.SegmentLimit = 16;
        var received = new List<byte[]>();
        var shape = new List<(int Count, int Reads)>();
        while (device.Receive(batch) > 0)
        {
            shape.Add((batch.Count, batch.Reads));
            received.AddRange(Enumerable.Range(0, batch.Count).Select(i => batch.Packet(i).ToArray()));
        }

        int header = (host.Contains(':', StringComparison.Ordinal) ? 40 : 20) + 8;
        Assert.Equal((device.Offloads & TunOffloads.Udp) != 0 ? [(16, 4), (16, 0), (31, 20)] : [(63, 63)], shape);
        Assert.Equal([.. new byte[3 * Size], .. sent, .. new byte[20 * Size]], received.SelectMany(packet => packet[header..]));
        Assert.All(received, AssertChecksum);
    }

    [Theory]
    [MemberData(nameof(Rungs))]
    public void Send_PacketsThatContinueEachOther_ReachTheHostsSocketAsSent(TunOffloads offloads, string host, string peer)
    {
        using var device = Open(offloads);
        using var socket = _host.Run(() => Bound(host, 7000));
        var batch = SocketTestSupport.NewBatch(slots: 16);
        int[] sizes = [Size, Size, Size, Size, 300, Size, 1];
        int[] slots = new int[sizes.Length];
        for (int i = 0; i < sizes.Length; i++)
        {
            byte[] packet = IpPackets.Udp(peer, 1234, host, 7000, SocketTestSupport.Payload(sizes[i], (byte)(i + 1)));
            int offset = batch.SlotStart(i) + batch.Headroom;
            packet.CopyTo(batch.Buffer, offset);
            batch[i] = new PacketSlot { Offset = offset, Length = packet.Length, Error = -1 };
            slots[i] = i;
        }

        batch.Count = sizes.Length;
        Assert.Equal(sizes.Length, device.Send(batch, slots));

        Assert.All(batch.Slots.ToArray(), slot => Assert.Equal(0, slot.Error));
        byte[] buffer = new byte[70_000];
        socket.ReceiveTimeout = 5000;
        for (int i = 0; i < sizes.Length; i++)
        {
            Assert.Equal(SocketTestSupport.Payload(sizes[i], (byte)(i + 1)), buffer[..socket.Receive(buffer)]);
        }

        // Four and a shorter one, then one and a shorter one; IPv4 packets of one identification without DF are not joined.
        Assert.True((device.Offloads & TunOffloads.Udp) != 0 || device.SuperPackets.Written == 0);
    }

    [Theory]
    [InlineData(TunOffloads.All)]
    [InlineData(TunOffloads.None)]
    public void Queues_OfOneDevice_ShareTheFlows_AndAFlowStaysWhereItIs(TunOffloads offloads)
    {
        const int Queues = 4, Flows = 32;
        using var device = Open(offloads, Queues);
        Assert.Equal((Queues, Queues), (device.Readers.Count, device.Writers.Count));
        var sockets = Enumerable.Range(0, Flows).Select(flow => _host.Run(() => Bound("10.78.0.1", 7000 + flow))).ToList();
        var queueOf = new Dictionary<int, int>();
        var batch = SocketTestSupport.NewBatch(slots: 64);
        for (int round = 0; round < 4; round++)
        {
            sockets.ForEach(socket => socket.SendTo(new byte[100], new IPEndPoint(IPAddress.Parse("10.78.0.2"), 9)));
            int received = 0;
            for (int queue = 0; queue < Queues; queue++)
            {
                while (device.Readers[queue].Receive(batch) > 0)
                {
                    foreach (byte[] packet in Enumerable.Range(0, batch.Count).Select(i => batch.Packet(i).ToArray()).Where(IsUdp))
                    {
                        int port = (packet[20] << 8) | packet[21];
                        received++;
                        Assert.Equal(queue, queueOf.TryGetValue(port, out int before) ? before : queueOf[port] = queue);

                        // An answer by any writer draws nothing to another queue.
                        Assert.Equal(0, device.Writers[(port + round) % Queues].Send(IpPackets.Udp("10.78.0.2", 9, "10.78.0.1", (ushort)port, new byte[10])));
                    }
                }
            }

            Assert.Equal(Flows, received);
        }

        Assert.True(queueOf.Values.Distinct().Count() > 1);
        Assert.All(sockets, socket => Assert.Equal(4 * 10, Enumerable.Range(0, 4).Sum(_ => socket.Receive(new byte[64]))));
        sockets.ForEach(socket => socket.Dispose());
    }

    private TunDevice Open(TunOffloads offloads, int queues = 1)
    {
        var device = _host.Run(() => TunDevice.Create("esp0", offloads, queues));
        Assert.True((device.Offloads & ~offloads) == 0);
        _host.Sysctl("ipv6/conf/esp0/addr_gen_mode", "1");
        _host.Ip("address add 10.78.0.1/24 dev esp0");
        _host.Ip("address add fd78::1/64 dev esp0 nodad");
        _host.Ip("link set esp0 mtu 9000 multicast off up");
        return device;
    }

    private static Socket Bound(string address, int port)
    {
        var endpoint = new IPEndPoint(IPAddress.Parse(address), port);
        var socket = new Socket(endpoint.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(endpoint);
        return socket;
    }

    private static bool IsUdp(byte[] packet) => packet[0] >> 4 == 4 ? packet[9] == 17 : packet[6] == 17;

    // RFC 768: summed with its pseudo header, a datagram with its checksum gives all ones.
    private static void AssertChecksum(byte[] packet)
    {
        bool isIPv4 = packet[0] >> 4 == 4;
        int start = isIPv4 ? 20 : 40;
        byte[] pseudo = [.. isIPv4 ? packet[12..20] : packet[8..40], 0, 17, (byte)((packet.Length - start) >> 8), (byte)(packet.Length - start), .. packet[start..]];
        Assert.Equal(0, NaiveChecksum.Of(pseudo));
        Assert.Equal(0, isIPv4 ? NaiveChecksum.Of(packet.AsSpan(0, 20)) : 0);
    }
}
