using System.Net;
using System.Net.Sockets;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Guard;
using Espalier.Routing.Tests.Hosts;
using static Espalier.Routing.Tests.Hosts.Build;
using static Espalier.Routing.Tests.Hosts.GuardedHost;

namespace Espalier.Routing.Tests.Guard;

/// <summary>
/// Packets in clear that a policy protects, as the kernel's own policy check would treat them. The hosts are drawn at <see cref="RoutedHost"/>;
/// the peer has the addresses 10.2.0.5 and fd00:2::5 besides.
/// </summary>
public sealed class ClearGuardTests
{
    [Fact]
    public void In_ClearPackets_AreDroppedAndCounted()
    {
        using var host = Make();
        host.Add(In("10.2.0.0/16", "192.168.0.1/32"), In("fd00:2::/64", "fd00:9::1/128"));
        host.FlushGuard();

        AssertDropped(host, "10.2.0.5");
        AssertDropped(host, "10.2.0.5");
        AssertDropped(host, "fd00:2::5");
        AssertArrives(host, "192.168.0.2");
        AssertArrives(host, "fd00:9::2");
        AssertCounters(new GuardCounters(3, 0, 0), host);
    }

    [Fact]
    public void In_PolicyRemoved_PacketsArriveAndCountersStay()
    {
        using var host = Make();
        var policy = In("10.2.0.0/16", "192.168.0.1/32");
        host.Add(policy);
        host.FlushGuard();
        AssertDropped(host, "10.2.0.5");
        AssertCounters(new GuardCounters(1, 0, 0), host);

        host.Remove(policy);
        host.FlushGuard();

        AssertArrives(host, "10.2.0.5");
        AssertCounters(new GuardCounters(1, 0, 0), host);
    }

    // The kernel asks the first policy in order of priority, and only that one.
    [Fact]
    public void In_Priorities_DecideAsInTheKernel()
    {
        using var host = Make();
        host.Add(
            Policy(PolicyDirection.In, Selector("10.2.0.0/16", "0.0.0.0/0"), 100),
            Policy(PolicyDirection.In, Selector("10.2.0.0/24", "0.0.0.0/0", 17, 0, 0, Port, 0xffff), 50, passes: true),
            Policy(PolicyDirection.In, Selector("10.2.0.5/32", "0.0.0.0/0"), 20, PolicyAction.Block),
            Policy(PolicyDirection.In, Selector("10.2.0.6/32", "0.0.0.0/0"), 60, PolicyAction.Block));
        host.FlushGuard();

        AssertDropped(host, "10.2.0.5");
        AssertArrives(host, "10.2.0.6");
        AssertDropped(host, "10.2.0.6", Port + 1);
        AssertDropped(host, "10.2.1.7");
        AssertCounters(new GuardCounters(3, 0, 0), host);
    }

    [Fact]
    public void In_EqualPriorities_TheOlderDecides()
    {
        using var host = Make();
        var passing = Policy(PolicyDirection.In, Selector("10.2.0.5/32", "0.0.0.0/0"), 100, passes: true);
        host.Add(passing, In("10.2.0.0/16", "0.0.0.0/0"));
        host.FlushGuard();
        AssertArrives(host, "10.2.0.5");

        host.Remove(passing);
        host.Add(Policy(PolicyDirection.In, Selector("10.2.0.5/32", "0.0.0.0/0"), 100, passes: true));
        host.FlushGuard();

        AssertDropped(host, "10.2.0.5");
    }

    [Fact]
    public void In_OptionalTemplate_LetsPass()
    {
        using var host = Make();
        host.Add(Policy(PolicyDirection.In, Selector("10.2.0.0/16", "0.0.0.0/0"), optional: true));
        host.FlushGuard();

        AssertArrives(host, "10.2.0.5");
    }

    [Theory]
    [InlineData(Port, 0xffff, false)]
    [InlineData(Port, 0xfff0, false)]
    [InlineData(Port + 16, 0xfff0, true)]
    [InlineData(Port + 1, 0xffff, true)]
    public void In_Ports_AreComparedUnderTheirMask(ushort port, ushort mask, bool arrives)
    {
        using var host = Make();
        host.Add(
            Policy(PolicyDirection.In, Selector("10.2.0.0/16", "0.0.0.0/0", 17, 0, 0, port, mask)),
            Policy(PolicyDirection.In, Selector("fd00:2::/64", "::/0", 0, 0, 0, port, mask)));
        host.FlushGuard();

        AssertFate(arrives, host, "10.2.0.5");
        AssertFate(arrives, host, "fd00:2::5");
    }

    [Theory]
    [InlineData("10.2.0.5", "192.168.0.1", 1, 8, false)]
    [InlineData("10.2.0.5", "192.168.0.1", 1, 13, true)]
    [InlineData("fd00:2::5", "fd00:9::1", 58, 128, false)]
    [InlineData("fd00:2::5", "fd00:9::1", 58, 130, true)]
    public void In_IcmpType_IsThePort(string source, string destination, byte protocol, ushort type, bool arrives)
    {
        using var host = Make();
        string all = source.Contains(':', StringComparison.Ordinal) ? "::/0" : "0.0.0.0/0";
        host.Add(Policy(PolicyDirection.In, Selector(all, all, protocol, type, 0xffff)));
        host.FlushGuard();

        Assert.Equal(arrives ? 0 : 1, RoutedHost.Try(host.Peer, $"ping -c 1 -W {(arrives ? 20 : 1)} -I {source} {destination}").ExitCode);
    }

    [Fact]
    public void Forward_ClearPackets_AreDroppedAndCounted()
    {
        using var host = Make();
        host.Host.Sysctl("ipv4/ip_forward", "1");
        host.Host.Ip("route add 10.9.0.0/16 via 192.168.0.2");
        host.Peer.Ip("route add 10.1.0.0/16 via 192.168.0.1");
        host.Host.Ip("route add 10.1.0.0/16 via 192.168.0.2");
        host.Peer.Ip("address add 10.1.0.7/32 dev eth0");
        host.Add(Policy(PolicyDirection.Forward, Selector("10.2.0.0/16", "10.1.0.0/16")), In("10.2.0.0/16", "10.4.0.0/16"));
        host.FlushGuard();
        host.Peer.Ip("address del 10.1.0.7/32 dev eth0");

        host.Peer.SendUdp("10.2.0.5", "10.1.0.7", Port);

        AssertCounters(new GuardCounters(0, 1, 0), host);
    }

    // The mark on the socket exempts; everything else that is about to leave in clear although a policy protects it is a leak.
    [Fact]
    public void Out_SocketBoundToADevice_DoesNotLeak()
    {
        using var host = Make();
        host.Add(Out("192.168.0.1/32", "192.168.0.2/32"), Out("fd00:9::1/128", "fd00:9::2/128"));
        host.FlushGuard();
        using var server = host.Peer.Listen(Port);
        using var server6 = host.Peer.Listen(Port, AddressFamily.InterNetworkV6);

        SendBoundToDevice(host, "192.168.0.2");
        SendBoundToDevice(host, "fd00:9::2");

        Assert.False(server.HasReceived());
        Assert.False(server6.HasReceived());
        AssertCounters(new GuardCounters(0, 0, 2), host);
    }

    [Fact]
    public void Out_MarkedPackets_Leave()
    {
        using var host = Make();
        host.Add(Out("192.168.0.1/32", "192.168.0.2/32"));
        host.FlushGuard();
        using var server = host.Peer.Listen(Port);

        host.Host.SendRaw(TestPackets.Udp4("192.168.0.1", "192.168.0.2", Port), host.Options.Mark);

        Assert.True(server.Receives());
        AssertCounters(default, host);
    }

    [Fact]
    public void Default_BlocksInbound_WhatNoPolicyCoversIsDropped()
    {
        using var host = Make();
        host.Add(Policy(PolicyDirection.In, Selector("10.2.0.5/32", "0.0.0.0/0"), passes: true));
        host.Database.Spd.DefaultBlocks[(int)PolicyDirection.In] = true;
        host.Host.Run(() => host.Controller.Process());
        host.FlushGuard();

        AssertArrives(host, "10.2.0.5");
        AssertDropped(host, "192.168.0.2");
        AssertDropped(host, "fd00:9::2");

        host.Database.Spd.DefaultBlocks[(int)PolicyDirection.In] = false;
        host.Host.Run(() => host.Controller.Process());
        host.FlushGuard();
        AssertArrives(host, "192.168.0.2");
    }

    private static void SendBoundToDevice(RoutedHost host, string destination) => host.Host.Run(() =>
    {
        const int SolSocket = 1, BindToDevice = 25;
        var remote = new IPEndPoint(IPAddress.Parse(destination), Port);
        using var socket = new Socket(remote.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.SetRawSocketOption(SolSocket, BindToDevice, "eth0\0"u8);
        try
        {
            socket.SendTo([1], remote);
        }
        catch (SocketException refused)
        {
            // nftables' drop in the output hook tells the sender.
            Assert.Equal(SocketError.AccessDenied, refused.SocketErrorCode);
        }
    });
}
