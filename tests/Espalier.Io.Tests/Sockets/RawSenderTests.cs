using System.Net;
using System.Net.Sockets;
using Espalier.Io.Batches;
using Espalier.Io.Interop;
using Espalier.Io.Sockets;
using Espalier.Io.Tun;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using static Espalier.Io.Tests.Sockets.SocketTestSupport;

namespace Espalier.Io.Tests.Sockets;

/// <summary>
/// Packets and ICMP errors that we write ourselves.
/// <code>
/// left  10.77.0.1, fd77::1 ──veth, MTU 1500── 10.77.0.2, fd77::2  right
///    └ esp0 (TUN, MTU 1500): 10.88.0.0/16, fd88::/32
/// </code>
/// </summary>
public sealed class RawSenderTests : IDisposable
{
    private const uint Mark = 0x4550;
    private readonly NetworkNamespace _left;
    private readonly NetworkNamespace _right;
    private readonly TunDevice _device;

    public RawSenderTests()
    {
        Requirement.Tun();
        _left = NetworkNamespace.Create("left");
        _right = NetworkNamespace.Create("right");
        _left.LinkTo(_right, "veth0", ["10.77.0.1/24", "fd77::1/64"], ["10.77.0.2/24", "fd77::2/64"]);
        _device = _left.Run(() => TunDevice.Create("esp0"));
        _left.Sysctl("ipv6/conf/esp0/addr_gen_mode", "1");
        _left.Ip("link set esp0 mtu 1500 up");
        _left.Ip("route add 10.88.0.0/16 dev esp0");
        _left.Ip("-6 route add fd88::/32 dev esp0");
    }

    public void Dispose()
    {
        _device.Dispose();
        _left.Dispose();
        _right.Dispose();
    }

    [Theory]
    [InlineData("10.77.0.1", "10.77.0.2")]
    [InlineData("192.0.2.5", "10.77.0.2")]
    [InlineData("fd77::1", "fd77::2")]
    [InlineData("2001:db8::5", "fd77::2")]
    public void Bypass_PacketWithOwnOrForeignSource_LeavesAsItIs(string source, string destination)
    {
        using var sender = _left.Run(() => BypassSender.Open(Mark));
        bool isIPv4 = IPAddress.Parse(source).AddressFamily == AddressFamily.InterNetwork;
        using var capture = _right.Run(() => Capture());
        byte[] packet = IpPackets.Udp(source, 1111, destination, 2222, Payload(700), dontFragment: true);
        if (isIPv4)
        {
            packet[1] = 0xB9;
            packet[4] = 0x12;
            packet[8] = 17;
            packet[10] = packet[11] = 0;
            ushort checksum = NaiveChecksum.Of(packet.AsSpan(0, 20));
            packet[10] = (byte)(checksum >> 8);
            packet[11] = (byte)checksum;
        }

        Assert.Equal(0, sender.Send(packet));
        Assert.Equal(packet, ReadMatching(capture, packet.Length));
    }

    [Fact]
    public void Bypass_Marked_PassesOurOwnRulesBy()
    {
        // The rule sends everything else for the right host into the TUN.
        _left.Ip("route add 10.77.0.2/32 dev esp0 table 4550");
        _left.Ip("rule add pref 210 not fwmark 0x4550 lookup 4550");
        using var marked = _left.Run(() => BypassSender.Open(Mark));
        using var unmarked = _left.Run(() => BypassSender.Open(0));
        using var capture = _right.Run(() => Capture());
        byte[] first = IpPackets.Udp("10.77.0.1", 1, "10.77.0.2", 2, Payload(100));
        byte[] second = IpPackets.Udp("10.77.0.1", 1, "10.77.0.2", 2, Payload(101));
        Assert.Equal(0, unmarked.Send(first));
        Assert.Equal(0, marked.Send(second));
        Assert.Equal(second.Length, ReadMatching(capture, first.Length, second.Length).Length);
        Assert.Equal(first.Length, ReadTun().Length);
    }

    [Fact]
    public void Bypass_SourceBasedRule_IsFollowed()
    {
        _left.Ip("route add 10.99.0.0/16 dev esp0 table 77");
        _left.Ip("rule add from 192.0.2.7 lookup 77");
        using var sender = _left.Run(() => BypassSender.Open(Mark));
        byte[] packet = IpPackets.Udp("192.0.2.7", 1, "10.99.0.1", 2, Payload(50));
        Assert.Equal(0, sender.Send(packet));
        Assert.Equal(packet.Length, ReadTun().Length);
        Assert.Equal(Errno.ENETUNREACH, sender.Send(IpPackets.Udp("192.0.2.8", 1, "10.99.0.1", 2, Payload(50))));
    }

    [Fact]
    public void Bypass_Refusals_AreErrnos()
    {
        using var sender = _left.Run(() => BypassSender.Open(Mark));
        Assert.Equal(Errno.EMSGSIZE, sender.Send(IpPackets.Udp("10.77.0.1", 1, "10.77.0.2", 2, Payload(2000), dontFragment: true)));
        Assert.Equal(Errno.EMSGSIZE, sender.Send(IpPackets.Udp("fd77::1", 1, "fd77::2", 2, Payload(2000))));
        Assert.Equal(Errno.ENETUNREACH, sender.Send(IpPackets.Udp("10.77.0.1", 1, "203.0.113.1", 2, Payload(20))));
        Assert.Equal(Errno.EINVAL, sender.Send([0x45, 0, 0]));
        Assert.Equal(Errno.EINVAL, sender.Send([]));
    }

    [Theory]
    [InlineData("10.77.0.1", "10.77.0.2")]
    [InlineData("fd77::1", "fd77::2")]
    public void Bypass_TooLarge_NamesTheMtuOfTheWayOutOnce(string source, string destination)
    {
        using var sender = _left.Run(() => BypassSender.Open(Mark));
        var address = InternetAddress.Parse(destination);
        Assert.Equal(0, sender.TakeMtu(address));
        Assert.Equal(Errno.EMSGSIZE, sender.Send(IpPackets.Udp(source, 1, destination, 2, Payload(2000), dontFragment: true)));
        Assert.Equal(1500, sender.TakeMtu(address));
        Assert.Equal(0, sender.TakeMtu(address));
        Assert.Equal(0, sender.Send(IpPackets.Udp(source, 1, destination, 2, Payload(1000))));
    }

    [Theory]
    [InlineData("10.88.0.9", SocketType.Dgram)]
    [InlineData("10.88.0.9", SocketType.Stream)]
    [InlineData("fd88::9", SocketType.Dgram)]
    [InlineData("fd88::9", SocketType.Stream)]
    public void Icmp_TooBigToTheHostItself_LowersItsPathMtu(string destination, SocketType type)
    {
        // The host sends a packet into the TUN, and we answer with ICMP to the packet's source, which is the host's own address.
        var address = IPAddress.Parse(destination);
        using var icmp = _left.Run(() => IcmpSender.Open());
        using var socket = _left.Run(() => new System.Net.Sockets.Socket(
            address.AddressFamily, type, type == SocketType.Stream ? ProtocolType.Tcp : ProtocolType.Udp));
        Connect(socket, new IPEndPoint(address, 4444));
        socket.Send(Payload(1400));
        byte[] packet = ReadTun(atLeast: 1400);
        bool isIPv4 = packet[0] >> 4 == 4;
        var source = isIPv4 ? InternetAddress.ReadIPv4(packet.AsSpan(12)) : InternetAddress.ReadIPv6(packet.AsSpan(8));
        byte[] error = isIPv4 ? IpPackets.FragmentationNeeded(1300, packet.AsSpan(0, 548)) : IpPackets.PacketTooBig(1300, packet.AsSpan(0, 1232));
        Assert.Equal(0, icmp.Send(source, error));
        Assert.Contains("mtu 1300", _left.Ip($"route get {destination}"), StringComparison.Ordinal);
        if (type == SocketType.Stream)
        {
            // TCP sends the same bytes again at once, in segments that fit.
            Assert.Equal(1300, ReadTun(atLeast: 600).Length);
        }
    }

    [Theory]
    [InlineData("10.77.0.2")]
    [InlineData("fd77::2")]
    public void Icmp_TooBigToAnotherHost_CarriesTheInterfacesAddressAndTheRightChecksum(string host)
    {
        var to = InternetAddress.Parse(host);
        bool isIPv4 = to.Version == IpVersion.IPv4;
        string own = isIPv4 ? "10.77.0.1" : "fd77::1";
        using var icmp = _left.Run(() => IcmpSender.Open());
        using var capture = _right.Run(() => SocketOptions.Open(
            isIPv4 ? Espalier.Io.Interop.Socket.AF_INET : Espalier.Io.Interop.Socket.AF_INET6, Espalier.Io.Interop.Socket.SOCK_RAW, isIPv4 ? Ip.IPPROTO_ICMP : Ip.IPPROTO_ICMPV6, "capture"));
        byte[] original = IpPackets.Udp(host, 1, isIPv4 ? "10.88.0.9" : "fd88::9", 2, Payload(1400));
        byte[] message = isIPv4 ? IpPackets.FragmentationNeeded(1300, original.AsSpan(0, 548)) : IpPackets.PacketTooBig(1300, original.AsSpan(0, 1232));
        Assert.Equal(0, icmp.Send(to, message));

        // The right host's kernel checks ICMPv6's checksum before it hands the message on.
        byte[] seen;
        do
        {
            seen = Read(capture);
        }
        while (!isIPv4 && seen[0] != 2);
        if (isIPv4)
        {
            Assert.Equal(InternetAddress.Parse(own), InternetAddress.ReadIPv4(seen.AsSpan(12)));
            Assert.Equal(message, seen[20..]);
        }
        else
        {
            Assert.Equal(message[4..], seen[4..]);
            Assert.NotEqual(0, seen[2] | seen[3]);
        }
    }

    [Theory]
    [InlineData(false, "10.77.0.1", "10.77.0.2")]
    [InlineData(false, "fd77::1", "fd77::2")]
    [InlineData(true, "10.77.0.1", "10.77.0.2")]
    [InlineData(true, "fd77::1", "fd77::2")]
    public void ErrorQueue_TooBigFromThePath_QuotesOurSpi(bool raw, string left, string right)
    {
        var version = InternetAddress.Parse(left).Version;
        using OuterSocket socket = _left.Run<OuterSocket>(() => raw ? RawEspSocket.Open(Options(version)) : UdpEncapsulationSocket.Open(Options(version, 4500)));
        using var router = _right.Run(() => IcmpSender.Open());
        using var capture = _right.Run(() => Capture());
        byte[] esp = Payload(900);
        new byte[] { 0x0A, 0x0B, 0x0C, 0x0D }.CopyTo(esp, 0);
        var batch = NewBatch();
        Add(batch, esp, InternetAddress.Parse(right), raw ? (ushort)0 : (ushort)4501);
        Assert.Equal(1, SendAll(socket, batch));
        byte[] packet = ReadMatching(capture, (version == IpVersion.IPv4 ? 20 : 40) + (raw ? 0 : 8) + esp.Length);
        byte[] error = version == IpVersion.IPv4 ? IpPackets.FragmentationNeeded(1280, packet.AsSpan(0, 200)) : IpPackets.PacketTooBig(1290, packet);
        Assert.Equal(0, router.Send(InternetAddress.Parse(left), error));

        // Nobody listens on UDP port 4501 or for ESP on the right, so that its kernel has something to say, too.
        byte[] quoted = new byte[128];
        OuterError seen;
        do
        {
            Assert.True(ReceiveError(socket, quoted, out seen));
        }
        while (seen.Errno != Errno.EMSGSIZE);
        Assert.Equal(InternetAddress.Parse(right), seen.Remote);
        Assert.Equal(raw ? 0 : 4501, seen.RemotePort);
        Assert.Equal(version == IpVersion.IPv4 ? (3, 4, 1280) : (2, 0, 1290), (seen.IcmpType, seen.IcmpCode, seen.PathMtu));
        Assert.True(seen.QuotedLength >= 8);
        Assert.Equal(esp[..seen.QuotedLength], quoted[..seen.QuotedLength]);
    }

    [Fact]
    public void RawSenders_Sockets_ReceiveNothing()
    {
        using var icmp = _left.Run(() => IcmpSender.Open());
        using var sender = _left.Run(() => BypassSender.Open(0));
        _right.Exec("ping", "-c", "3", "-i", "0.01", "10.77.0.1");
        _right.Exec("ping", "-c", "3", "-i", "0.01", "fd77::1");

        // Columns of /proc/net/raw: local address, remote address, state, tx_queue:rx_queue, …
        foreach (string table in new[] { "raw", "raw6" })
        {
            string[] lines = _left.Run(() => File.ReadAllLines($"/proc/thread-self/net/{table}"));
            Assert.Equal(2, lines.Length - 1);
            Assert.All(lines[1..], line => Assert.EndsWith(":00000000", line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[4], StringComparison.Ordinal));
        }
    }

    /// <summary>A packet socket that sees all IP packets as they come (AF_PACKET, SOCK_DGRAM, all protocols).</summary>
    private static SafeDescriptor Capture()
    {
        const int AF_PACKET = 17;
        return SocketOptions.Open(AF_PACKET, Espalier.Io.Interop.Socket.SOCK_DGRAM, Espalier.Io.Sockets.SocketAddress.BigEndian(0x0003), "capture");
    }

    private static byte[] ReadMatching(SafeDescriptor capture, params int[] lengths)
    {
        while (true)
        {
            byte[] packet = Read(capture);
            if (lengths.Contains(packet.Length))
            {
                return packet;
            }
        }
    }

    private static unsafe byte[] Read(SafeDescriptor descriptor)
    {
        Assert.True(Wait(descriptor.Number, Files.POLLIN));
        byte[] buffer = new byte[4096];
        fixed (byte* start = buffer)
        {
            return buffer[..(int)Libc.read(descriptor, start, 4096)];
        }
    }

    /// <summary>Connects; the answers of a TCP peer come from the test.</summary>
    private void Connect(System.Net.Sockets.Socket socket, IPEndPoint peer)
    {
        if (socket.SocketType != SocketType.Stream)
        {
            socket.Connect(peer);
            return;
        }

        var connected = socket.ConnectAsync(peer);
        Assert.Equal(0, _device.Send(IpPackets.SynAckTo(ReadTun())));
        connected.GetAwaiter().GetResult();
    }

    private byte[] ReadTun(int atLeast = 0)
    {
        var batch = NewBatch(1);
        while (true)
        {
            Assert.True(Wait(_device.PollDescriptor, Files.POLLIN));
            bool isMulticast = _device.Receive(batch) == 1 && batch.Packet(0)[0] >> 4 == 6 && batch.Packet(0)[24] == 0xFF;
            if (batch.Count == 1 && !isMulticast && batch[0].Length >= atLeast)
            {
                return batch.Packet(0).ToArray();
            }
        }
    }
}
