using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Io.Sockets;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using static Espalier.Io.Tests.Sockets.SocketTestSupport;

namespace Espalier.Io.Tests.Sockets;

/// <summary>
/// Outer sockets between two network namespaces.
/// <code>
/// left  10.77.0.1, 10.77.0.11, fd77::1  ──veth, MTU 1500──  10.77.0.2, fd77::2  right
/// </code>
/// </summary>
public sealed class OuterSocketTests : IDisposable
{
    private const ushort Port = 4500;
    private readonly NetworkNamespace _left = NetworkNamespace.Create("left");
    private readonly NetworkNamespace _right = NetworkNamespace.Create("right");

    public OuterSocketTests() => _left.LinkTo(
        _right, "veth0", ["10.77.0.1/24", "10.77.0.11/24", "fd77::1/64"], ["10.77.0.2/24", "fd77::2/64"]);

    public void Dispose()
    {
        _left.Dispose();
        _right.Dispose();
    }

    [Theory]
    [InlineData(false, "10.77.0.1", "10.77.0.2")]
    [InlineData(false, "fd77::1", "fd77::2")]
    [InlineData(true, "10.77.0.1", "10.77.0.2")]
    [InlineData(true, "fd77::1", "fd77::2")]
    public void SendReceive_BothDirections_KeepBytesAddressesAndTrafficClass(bool raw, string leftAddress, string rightAddress)
    {
        var (left, right) = (InternetAddress.Parse(leftAddress), InternetAddress.Parse(rightAddress));
        using var leftSocket = OpenSocket(_left, raw, left.Version);
        using var rightSocket = OpenSocket(_right, raw, right.Version);
        foreach (var (sender, receiver, from, to) in new[] { (leftSocket, rightSocket, left, right), (rightSocket, leftSocket, right, left) })
        {
            var batch = NewBatch();
            byte[] classes = [0x00, 0xB8, 0x03, 0xFF];
            for (int i = 0; i < classes.Length; i++)
            {
                Add(batch, Payload(100 + i), to, raw ? (ushort)0 : Port, from, classes[i], dontFragment: i % 2 == 0);
            }

            Assert.Equal(classes.Length, SendAll(sender, batch));
            Assert.All(batch.Slots.ToArray(), slot => Assert.Equal(0, slot.Error));
            var received = ReceiveAll(receiver, classes.Length);
            for (int i = 0; i < classes.Length; i++)
            {
                Assert.Equal(Payload(100 + i), received[i].Bytes);
                Assert.Equal(from, received[i].Slot.Remote);
                Assert.Equal(to, received[i].Slot.Local);
                Assert.Equal(raw ? 0 : Port, received[i].Slot.RemotePort);
                Assert.Equal(classes[i], received[i].Slot.TrafficClass);
                Assert.False(received[i].Slot.Truncated);
            }
        }
    }

    [Fact]
    public void Send_SourceAddress_IsThePacketsOwn()
    {
        using var left = OpenSocket(_left, raw: false, IpVersion.IPv4);
        using var right = OpenSocket(_right, raw: false, IpVersion.IPv4);
        var batch = NewBatch();
        var to = InternetAddress.Parse("10.77.0.2");
        Add(batch, Payload(10), to, Port, InternetAddress.Parse("10.77.0.11"));
        Add(batch, Payload(10), to, Port);
        Assert.Equal(2, SendAll(left, batch));
        var received = ReceiveAll(right, 2);
        Assert.Equal("10.77.0.11", received[0].Slot.Remote.ToString());
        Assert.Equal("10.77.0.1", received[1].Slot.Remote.ToString());
    }

    [Fact]
    public void Receive_IPv6WithoutUdpChecksum_IsTaken()
    {
        // RFC 3948 §2.1: receivers must not depend on it; RFC 6935 §5: IPv6 too may go without where a tunnel says so for its port.
        using var right = OpenSocket(_right, raw: false, IpVersion.IPv6);
        using var left = _left.Run(() => new System.Net.Sockets.Socket(
            System.Net.Sockets.AddressFamily.InterNetworkV6, System.Net.Sockets.SocketType.Dgram, System.Net.Sockets.ProtocolType.Udp));
        left.SetRawSocketOption(Ip.IPPROTO_UDP, Udp.UDP_NO_CHECK6_TX, BitConverter.GetBytes(1));

        left.SendTo(Payload(33), new System.Net.IPEndPoint(System.Net.IPAddress.Parse("fd77::2"), Port));

        Assert.Equal(Payload(33), Assert.Single(ReceiveAll(right, 1)).Bytes);
    }

    [Theory]
    [InlineData(false, "10.77.0.2")]
    [InlineData(false, "fd77::2")]
    [InlineData(true, "10.77.0.2")]
    [InlineData(true, "fd77::2")]
    public void Send_LargerThanMtu_IsRefusedWithDontFragmentAndFragmentedWithout(bool raw, string address)
    {
        var to = InternetAddress.Parse(address);
        using var left = OpenSocket(_left, raw, to.Version);
        using var right = OpenSocket(_right, raw, to.Version);
        var batch = NewBatch();
        ushort port = raw ? (ushort)0 : Port;
        Add(batch, Payload(50), to, port);
        Add(batch, Payload(3000), to, port, dontFragment: true);
        Add(batch, Payload(3000), to, port, dontFragment: false);
        Add(batch, Payload(60), to, port);
        Assert.Equal(3, SendAll(left, batch));
        Assert.Equal([0, Errno.EMSGSIZE, 0, 0], batch.Slots.ToArray().Select(slot => slot.Error));
        Assert.Equal([50, 3000, 60], ReceiveAll(right, 3).Select(packet => packet.Bytes.Length));

        // The host says so in the error queue as well, with the interface's MTU.
        Assert.True(ReceiveError(left, new byte[64], out var error));
        Assert.True(error.IsLocal);
        Assert.Equal((0, 1500, Errno.EMSGSIZE, 0), (error.IcmpType, error.PathMtu, error.Errno, error.QuotedLength));
        Assert.Equal(to, error.Remote);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Send_DontFragment_IsTheDfBitOnTheWire(bool raw)
    {
        // A raw socket of all protocols' kind shows the IP header as it came: protocol 50 or 17.
        using var left = OpenSocket(_left, raw, IpVersion.IPv4, segmentation: false);
        using var capture = _right.Run(() => SocketOptions.Open(Socket.AF_INET, Socket.SOCK_RAW, raw ? Ip.IPPROTO_ESP : Ip.IPPROTO_UDP, "capture"));
        var batch = NewBatch();
        var to = InternetAddress.Parse("10.77.0.2");
        ushort port = raw ? (ushort)0 : Port;
        bool[] flags = [true, false, false, true];
        foreach (bool flag in flags)
        {
            Add(batch, Payload(40), to, port, trafficClass: 0x2E, dontFragment: flag);
        }

        Assert.Equal(4, SendAll(left, batch));
        foreach (bool flag in flags)
        {
            byte[] packet = ReadPacket(capture);
            Assert.Equal(flag ? 0x40 : 0, packet[6]);
            Assert.Equal(0x2E, packet[1]);
            if (!raw)
            {
                // RFC 3948 §2.1: the checksum is zero.
                Assert.Equal(0, packet[26] | packet[27]);
            }
        }
    }

    [Fact]
    public void Send_SlotsInAnyOrder_AreSentInThatOrder()
    {
        using var left = OpenSocket(_left, raw: false, IpVersion.IPv4);
        using var right = OpenSocket(_right, raw: false, IpVersion.IPv4);
        var batch = NewBatch();
        for (int i = 0; i < 5; i++)
        {
            Add(batch, Payload(10 + i), InternetAddress.Parse("10.77.0.2"), Port);
        }

        Assert.Equal(3, left.Send(batch, [4, 0, 2]));
        Assert.Equal([14, 10, 12], ReceiveAll(right, 3).Select(packet => packet.Bytes.Length));
        Assert.Equal(-1, batch[1].Error);
    }

    [Fact]
    public void Send_RefusedPackets_DoNotStopTheOthers()
    {
        using var left = OpenSocket(_left, raw: false, IpVersion.IPv4);
        using var right = OpenSocket(_right, raw: false, IpVersion.IPv4);
        var to = InternetAddress.Parse("10.77.0.2");
        var batch = NewBatch();
        Add(batch, Payload(1), InternetAddress.Parse("198.51.100.1"), Port);
        Add(batch, Payload(2), to, Port);
        Add(batch, Payload(3), InternetAddress.Parse("fd77::2"), Port);
        Add(batch, Payload(4), to, Port, InternetAddress.Parse("192.0.2.1"));
        Add(batch, Payload(5), to, Port);
        Assert.Equal(2, SendAll(left, batch));
        Assert.Equal([Errno.ENETUNREACH, 0, Errno.EAFNOSUPPORT, Errno.ENETUNREACH, 0], batch.Slots.ToArray().Select(slot => slot.Error));
        Assert.Equal([2, 5], ReceiveAll(right, 2).Select(packet => packet.Bytes.Length));
    }

    [Theory]
    [InlineData("10.77.0.2")]
    [InlineData("fd77::2")]
    public void Send_AfterAnIcmpError_LosesNoPacket(string address)
    {
        var to = InternetAddress.Parse(address);
        using var left = OpenSocket(_left, raw: false, to.Version);
        using var right = OpenSocket(_right, raw: false, to.Version);
        var batch = NewBatch();
        Add(batch, Payload(20, seed: 9), to, 9);
        Assert.Equal(1, SendAll(left, batch));
        Assert.True(Wait(left.PollDescriptor, 0));

        // The socket now has a pending "connection refused", which the next send would report in place of sending.
        batch.Clear();
        Add(batch, Payload(30), to, Port);
        Add(batch, Payload(31), to, Port);
        Assert.Equal(2, SendAll(left, batch));
        Assert.Equal([0, 0], batch.Slots.ToArray().Select(slot => slot.Error));
        Assert.Equal([30, 31], ReceiveAll(right, 2).Select(packet => packet.Bytes.Length));

        byte[] quoted = new byte[64];
        Assert.True(left.TryReceiveError(quoted, out var error));
        Assert.False(error.IsLocal);
        Assert.Equal((to, (ushort)9, Errno.ECONNREFUSED), (error.Remote, error.RemotePort, error.Errno));
        Assert.Equal(to.Version == IpVersion.IPv4 ? (3, 3) : (1, 4), (error.IcmpType, error.IcmpCode));
        Assert.Equal(Payload(20, seed: 9), quoted[..error.QuotedLength]);
        Assert.False(left.TryReceiveError(quoted, out _));
    }

    [Fact]
    public void Receive_AfterAnIcmpError_GetsTheWaitingPacket()
    {
        using var left = OpenSocket(_left, raw: false, IpVersion.IPv4);
        using var right = OpenSocket(_right, raw: false, IpVersion.IPv4);
        var batch = NewBatch();
        Add(batch, Payload(20), InternetAddress.Parse("10.77.0.2"), 9);
        SendAll(left, batch);
        Assert.True(Wait(left.PollDescriptor, 0));
        batch.Clear();
        Add(batch, Payload(33), InternetAddress.Parse("10.77.0.1"), Port);
        SendAll(right, batch);
        Assert.True(Wait(left.PollDescriptor, Files.POLLIN));
        Assert.Equal(33, ReceiveAll(left, 1)[0].Bytes.Length);
    }

    [Theory]
    [InlineData(false, IpVersion.IPv4)]
    [InlineData(false, IpVersion.IPv6)]
    [InlineData(true, IpVersion.IPv4)]
    [InlineData(true, IpVersion.IPv6)]
    public void Receive_LargerThanSlot_IsMarkedTruncated(bool raw, IpVersion version)
    {
        var to = InternetAddress.Parse(version == IpVersion.IPv4 ? "10.77.0.2" : "fd77::2");
        using var left = OpenSocket(_left, raw, version);
        using var right = OpenSocket(_right, raw, version);
        var batch = NewBatch();
        Add(batch, Payload(1000), to, raw ? (ushort)0 : Port);
        Add(batch, Payload(100), to, raw ? (ushort)0 : Port);
        SendAll(left, batch);
        var small = new PacketBatch(4, 500, 100);
        var slots = new List<PacketSlot>();
        while (slots.Count < 2 && Receive(right, small) > 0)
        {
            slots.AddRange(small.Slots.ToArray());
        }

        Assert.Equal([true, false], slots.Select(slot => slot.Truncated));
        Assert.Equal(100, slots[1].Length);
    }

    [Fact]
    public void Receive_QueueOverflow_IsCounted()
    {
        using var right = _right.Run(() => UdpEncapsulationSocket.Open(Options(IpVersion.IPv4, Port) with { ReceiveBuffer = 4096 }));
        using var left = OpenSocket(_left, raw: false, IpVersion.IPv4);
        const int Packets = 320;
        var batch = NewBatch();
        for (int i = 0; i < 32; i++)
        {
            Add(batch, Payload(100), InternetAddress.Parse("10.77.0.2"), Port);
        }

        for (int i = 0; i < Packets / 32; i++)
        {
            Assert.Equal(32, SendAll(left, batch));
        }

        long dropped = right.KernelDrops;
        Assert.InRange(dropped, 1, Packets - 1);
        var target = NewBatch();
        int received = 0;
        while (right.Receive(target) is > 0 and int count)
        {
            received += count;
        }

        Assert.Equal(Packets, received + dropped);
        batch.Count = 1;
        SendAll(left, batch);
        Assert.Equal(1, Receive(right, target));
        Assert.Equal(dropped, right.KernelDrops);
    }

    [Fact]
    public void Open_TakenPort_SaysSo()
    {
        using var first = OpenSocket(_left, raw: false, IpVersion.IPv4);
        var refusal = Assert.Throws<DeviceException>(() => OpenSocket(_left, raw: false, IpVersion.IPv4));
        Assert.Equal(Errno.EADDRINUSE, refusal.Error);
        Assert.Contains("4500", refusal.Message, StringComparison.Ordinal);

        // IPv6 is another port: the socket takes no IPv4.
        using var second = OpenSocket(_left, raw: false, IpVersion.IPv6);
        Assert.Equal(Port, second.LocalPort);
    }

    [Fact]
    public void Open_ReceiveBuffer_IsForcedPastTheHostsLimit()
    {
        using var socket = _left.Run(() => UdpEncapsulationSocket.Open(Options(IpVersion.IPv4) with { ReceiveBuffer = 64 * 1024 * 1024 }));
        Assert.True(socket.ReceiveBufferForced);
        Assert.Equal(64 * 1024 * 1024, socket.ReceiveBufferGranted);
        Assert.NotEqual(0, socket.LocalPort);
    }

    [Fact]
    public void Open_ForeignAddress_SaysSo()
    {
        var options = Options(IpVersion.IPv4) with { BindAddress = InternetAddress.Parse("192.0.2.9") };
        Assert.Contains("192.0.2.9", Assert.Throws<DeviceException>(() => _left.Run(() => UdpEncapsulationSocket.Open(options))).Message, StringComparison.Ordinal);
        Assert.Contains("192.0.2.9", Assert.Throws<DeviceException>(() => _left.Run(() => RawEspSocket.Open(options))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Send_LinkLocal_LeavesByTheInterfaceOfTheLocalAddress()
    {
        // Both interfaces offer a route to fe80::/64; the right one is that of the packet's source.
        _left.LinkTo(_right, "other0", ["fe80::2:1/64"], []);
        _left.Ip("route add fe80::1:2/128 dev other0");
        _left.Ip("address add fe80::1:1/64 dev veth0 nodad");
        _right.Ip("address add fe80::1:2/64 dev veth0 nodad");
        using var left = OpenSocket(_left, raw: false, IpVersion.IPv6);
        using var right = OpenSocket(_right, raw: false, IpVersion.IPv6);
        var batch = NewBatch();
        Add(batch, Payload(10), InternetAddress.Parse("fe80::1:2"), Port, InternetAddress.Parse("fe80::2:1"));
        Add(batch, Payload(11), InternetAddress.Parse("fe80::1:2"), Port, InternetAddress.Parse("fe80::1:1"));
        Assert.Equal(2, _left.Run(() => SendAll(left, batch)));
        var received = ReceiveAll(right, 1)[0];
        Assert.Equal("fe80::1:1", received.Slot.Remote.ToString());
        Assert.Equal(11, received.Bytes.Length);
    }

    private static OuterSocket OpenSocket(NetworkNamespace where, bool raw, IpVersion version, bool segmentation = true) => where.Run<OuterSocket>(
        () => raw ? RawEspSocket.Open(Options(version)) : UdpEncapsulationSocket.Open(Options(version, Port) with { Segmentation = segmentation }));

    private static unsafe byte[] ReadPacket(SafeDescriptor descriptor)
    {
        Assert.True(Wait(descriptor.Number, Files.POLLIN));
        byte[] buffer = new byte[2048];
        fixed (byte* start = buffer)
        {
            return buffer[..(int)Libc.read(descriptor, start, 2048)];
        }
    }
}
