using System.Net;
using System.Net.Sockets;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Inner fragments under policies with ports (RFC 4301 §7.3: stateful fragment checking), in both directions.</summary>
public sealed class FragmentTests(Gateways hosts) : IClassFixture<Gateways>
{
    private const int Port = 5000;

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Datagram_InFragmentsUnderAPolicyWithPorts_ArrivesAndIsAnsweredThroughTheTunnel(bool outer6, bool inner6)
    {
        KeyPort(outer6, inner6);
        long bypassed = Bypassed();
        using var clear = new PacketCapture(
            hosts.Router, "wanb", $"(udp or ip[6:2] & 0x1fff != 0 or ip6 proto 44) and (host {Gateways.AliceAt(inner6)} or host {Gateways.BobAt(inner6)})");

        Assert.Equal(4000, Echo(inner6, 4000));

        clear.Finish();
        Assert.True(clear.Frames().Count == 0, "in clear: " + string.Join('\n', clear.Frames().Select(Convert.ToHexString)));
        Assert.Equal(bypassed, Bypassed());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LaterFragment_WithoutItsFirst_IsDroppedAndCountedOutbound(bool inner6)
    {
        // RFC 4301 §7.4: no port is known, and no packet is kept until it is.
        KeyPort(outer6: false, inner6);
        var (first, later, destination) = Fragments(inner6, identification: 0x1111);
        long drops = hosts.MoonDaemon.Drops("OutboundFragmentWithoutPorts"), sent = Sent(), bypassed = Bypassed();

        RawPacket.Send(hosts.Alice, destination, later);
        Assert.Equal(drops + 1, Wait.ForValue(() => hosts.MoonDaemon.Drops("OutboundFragmentWithoutPorts"), drops + 1));
        Assert.Equal(sent, Sent());
        RawPacket.Send(hosts.Alice, destination, first, later);

        Assert.Equal(sent + 2, Wait.ForValue(Sent, sent + 2));
        Assert.Equal(drops + 1, hosts.MoonDaemon.Drops("OutboundFragmentWithoutPorts"));
        Assert.Equal(bypassed, Bypassed());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LaterFragment_WithoutItsFirst_IsDroppedAndCountedInbound(bool inner6)
    {
        // Moon's policy has no ports, so it lets everything through; sun's has.
        hosts.Key(inner6: inner6);
        hosts.SunDaemon.Exec("ip xfrm policy flush").Expect();
        Gateways.Batch(hosts.SunDaemon, $"""
            xfrm policy add src {Gateways.AliceNet(inner6)} dst {Gateways.BobNet(inner6)} proto udp dport {Port} dir fwd tmpl src {Gateways.MoonAt(false)} dst {Gateways.SunAt(false)} proto esp reqid 1 mode tunnel
            """);
        var (first, later, destination) = Fragments(inner6, identification: 0x2222);
        long drops = hosts.SunDaemon.Drops("InboundFragmentWithoutPorts"), received = Received();

        RawPacket.Send(hosts.Alice, destination, later);
        Assert.Equal(drops + 1, Wait.ForValue(() => hosts.SunDaemon.Drops("InboundFragmentWithoutPorts"), drops + 1));
        RawPacket.Send(hosts.Alice, destination, first, later);

        Assert.Equal(received + 2, Wait.ForValue(Received, received + 2));
        Assert.Equal(drops + 1, hosts.SunDaemon.Drops("InboundFragmentWithoutPorts"));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LaterFragment_OfAnotherPort_IsNotLetThrough(bool inner6)
    {
        KeyPort(outer6: false, inner6);
        var (first, later, destination) = Fragments(inner6, identification: 0x3333, port: Port + 1);
        long sent = Sent(), bypassed = Bypassed();
        using var clear = new PacketCapture(hosts.Router, "wanb", $"host {Gateways.AliceAt(inner6)} and host {Gateways.BobAt(inner6)}");

        RawPacket.Send(hosts.Alice, destination, first, later);

        // No policy covers that port: both go on in clear, as the kernel would send them, and neither into the SA.
        Assert.Equal(bypassed + 2, Wait.ForValue(Bypassed, bypassed + 2));
        Assert.Equal(sent, Sent());
        clear.Finish(atLeast: 2);
        Assert.InRange(clear.Frames().Count, 2, 3); // and bob's answer that nobody listens there
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void LaterFragment_UnderAPolicyWithoutPorts_NeedsNoFirst(bool inner6)
    {
        hosts.Key(inner6: inner6);
        var (_, later, destination) = Fragments(inner6, identification: 0x4444);
        long received = Received();

        RawPacket.Send(hosts.Alice, destination, later);

        Assert.Equal(received + 1, Wait.ForValue(Received, received + 1));
    }

    private void KeyPort(bool outer6, bool inner6)
    {
        hosts.Key(outer6, inner6);
        hosts.Both("xfrm policy flush");
        hosts.Protect(Gateways.AliceNet(inner6), Gateways.BobNet(inner6), outer6, $"proto udp dport {Port}", $"proto udp sport {Port}");
    }

    private static (byte[] First, byte[] Later, IPAddress Destination) Fragments(bool inner6, ushort identification, int port = Port)
    {
        var source = IPAddress.Parse(Gateways.AliceAt(inner6));
        var destination = IPAddress.Parse(Gateways.BobAt(inner6));
        byte[] datagram = RawPacket.Udp(6000, port, new byte[104]);
        return (
            RawPacket.Fragment(source, destination, identification, 0, more: true, datagram[..64]),
            RawPacket.Fragment(source, destination, identification, 64, more: false, datagram[64..]),
            destination);
    }

    private int Echo(bool inner6, int size)
    {
        var family = inner6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork;
        var at = new IPEndPoint(IPAddress.Parse(Gateways.BobAt(inner6)), Port);
        using var bob = hosts.Bob.Run(() => new Socket(family, SocketType.Dgram, ProtocolType.Udp));
        bob.Bind(at);
        _ = Task.Run(() =>
        {
            byte[] buffer = new byte[65536];
            while (true)
            {
                EndPoint from = new IPEndPoint(at.Address, 0);
                int length = bob.ReceiveFrom(buffer, ref from);
                bob.SendTo(buffer.AsSpan(0, length), from);
            }
        });
        using var alice = hosts.Alice.Run(() => new Socket(family, SocketType.Dgram, ProtocolType.Udp));
        alice.ReceiveTimeout = 500;
        byte[] answer = new byte[65536];
        for (int attempt = 0; attempt < 5; attempt++)
        {
            try
            {
                alice.SendTo(new byte[size], at);
                return alice.Receive(answer);
            }
            catch (SocketException)
            {
                // The first ones may be lost: over IPv6 both senders learn the MTU of the tunnel first.
            }
        }

        return 0;
    }

    private long Sent() => (long)hosts.MoonDaemon.Stat()["traffic"]!["packetsOut"]!;

    private long Received() => (long)hosts.SunDaemon.Stat()["traffic"]!["packetsIn"]!;

    private long Bypassed() => (long)hosts.MoonDaemon.Stat()["traffic"]!["packetsBypassed"]!;
}
