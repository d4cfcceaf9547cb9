using System.Net;
using System.Net.Sockets;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Routing.Guard;
using Espalier.Routing.Tests.Hosts;
using Espalier.Testing;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests.Guard;

/// <summary>
/// Packets in clear that a policy protects, as the kernel's own policy check would treat them. The hosts are drawn at <see cref="RoutedHost"/>;
/// the peer has the addresses 10.2.0.5 and fd00:2::5 besides.
/// </summary>
public sealed class ClearGuardTests
{
    private const int Port = 5000;

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

    [Fact]
    public void Exempt_EspIkeAndNeighbours_Arrive()
    {
        using var host = Make();
        host.Add(In("0.0.0.0/0", "0.0.0.0/0"), In("::/0", "::/0"));
        host.Add(Sa(0x100, "192.168.0.2", "192.168.0.1"));
        host.FlushGuard();
        using var raw = host.Host.ListenEsp();

        host.Peer.SendRaw(TestPackets.IPv4("192.168.0.2", "192.168.0.1", 50, 24));
        Assert.True(raw.Receives());
        AssertArrives(host, "192.168.0.2", 500);
        AssertArrives(host, "192.168.0.2", 4500);
        AssertDropped(host, "192.168.0.2", 4501);
        host.Peer.Ip("-6 neigh flush all");
        AssertArrives(host, "fd00:9::2", 500);
        AssertDropped(host, "fd00:9::2");
    }

    // RFC 1191: the path MTU of our ESP is learnt from ICMP that comes in clear, from any router.
    [Theory]
    [InlineData(50, 0, true)]
    [InlineData(17, 4500, true)]
    [InlineData(17, 4501, false)]
    [InlineData(6, 4500, false)]
    public void Exempt_IcmpErrors_OnlyAboutOurEsp(byte quotedProtocol, ushort quotedPort, bool exempt)
    {
        using var host = Make();
        host.Add(In("0.0.0.0/0", "0.0.0.0/0"));
        host.FlushGuard();
        byte[] packet = TestPackets.IPv4("10.2.0.5", "192.168.0.1", 1, 36);
        packet[20] = 3;
        packet[21] = 4;
        TestPackets.IPv4("192.168.0.1", "192.168.0.2", quotedProtocol, 8).CopyTo(packet, 28);
        packet[48] = (byte)(quotedPort >> 8);
        packet[49] = (byte)quotedPort;

        host.Peer.SendRaw(packet);

        AssertArrives(host, "192.168.0.2", 500);
        AssertCounters(new GuardCounters(exempt ? 0 : 1, 0, 0), host);
    }

    [Fact]
    public void Exempt_PortOfAnSa_FollowsIt()
    {
        using var host = Make();
        host.Add(In("0.0.0.0/0", "0.0.0.0/0"));
        var association = Sa(0x100, "192.168.0.2", "192.168.0.1");
        association.Encapsulation = new UdpEncapsulation(4500, 7777, default);
        host.Add(association);
        host.FlushGuard();
        AssertArrives(host, "192.168.0.2", 7777);

        host.Remove(association);
        host.FlushGuard();

        AssertDropped(host, "192.168.0.2", 7777);
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

    [Fact]
    public void Table_RemovedBySomebodyElse_IsMadeAnewWithTheNextChange()
    {
        using var host = Make();
        host.Add(In("10.2.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        host.Host.Exec("nft", "flush ruleset");
        AssertArrives(host, "10.2.0.5");

        host.Add(In("10.4.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();

        AssertDropped(host, "10.2.0.5");
        Assert.True(host.Controller.Guard.Clear.IsActive);
    }

    // Where nobody can read the counters, or they begin anew, what was counted stays.
    [Fact]
    public void Counters_TableRemovedBySomebodyElse_DoNotGoBack()
    {
        using var host = Make();
        host.Add(In("10.2.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        AssertDropped(host, "10.2.0.5");
        AssertCounters(new GuardCounters(1, 0, 0), host);

        host.Host.Exec("nft", "flush ruleset");
        AssertCounters(new GuardCounters(1, 0, 0), host);

        host.Add(In("10.4.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        AssertCounters(new GuardCounters(1, 0, 0), host);
        AssertDropped(host, "10.2.0.5");
        AssertCounters(new GuardCounters(2, 0, 0), host);
    }

    // What a refused write held is not taken for written: the next one, or the guard by itself, writes all.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Write_RefusedOnce_IsMadeUpFor(bool byTheNextChange)
    {
        using var host = new RoutedHost(start: false);
        host.Host.Ip("tuntap add esp0 mode tun");
        using var folder = new TemporaryFolder("nft");
        string program = folder.FilePath("nft"), refusal = folder.FilePath("refuse");
        File.WriteAllText(program, $"#!/bin/sh\n[ -e {refusal} ] && {{ echo Error: refused; exit 1; }}\nexec nft \"$@\"\n");
        Command.Run("chmod", "755", program);
        using var guard = host.Host.Run(() => new ClearGuard(host.Options, static _ => { }, program));
        var patience = TimeSpan.FromSeconds(60);
        Guard("10.2.0.0/16");
        Assert.True(guard.Flush(patience));
        Assert.Equal("on", guard.Status.Clear.ToString());

        File.WriteAllText(refusal, "");
        Guard("10.3.0.0/16");
        Assert.True(guard.Flush(patience));
        Assert.Equal("off: nft: refused", guard.Status.Clear.ToString());

        File.Delete(refusal);
        if (byTheNextChange)
        {
            Guard("10.4.0.0/16");
            Assert.True(guard.Flush(patience));
        }

        Wait.Until(() => guard.Status.Clear.IsActive, () => $"the guard is on again: {guard.Status.Clear}");
        string table = host.Host.Exec("nft", "list", "table", "inet", "espalier_esp0");
        Assert.Contains("10.2.0.0", table, StringComparison.Ordinal);
        Assert.Contains("10.3.0.0", table, StringComparison.Ordinal);

        void Guard(string source)
        {
            var policy = In(source, "192.168.0.1/32");
            using (host.Database.Freeze())
            {
                host.Database.Spd.AddOrReplace(policy);
            }

            guard.Add(new GuardPolicy(policy));
        }
    }

    [Fact]
    public void Elements_TenThousandPolicies_AreOneRule()
    {
        using var host = Make();
        host.Add(Enumerable.Range(0, 10_000).Select(i => In($"10.{i >> 8}.{i & 255}.0/24", "192.168.0.1/32")));
        host.FlushGuard();

        string chain = host.Host.Exec("nft", "list", "chain", "inet", "espalier_esp0", "in_4");
        Assert.Single(chain.Split('\n'), line => line.Contains("drop", StringComparison.Ordinal));
        AssertDropped(host, "10.2.0.5");

        host.Remove(host.Database.Spd.Policies.ToList());
        host.FlushGuard();
        AssertArrives(host, "10.2.0.5");
    }

    [Fact]
    public void Off_ByOption_SaysSo()
    {
        using var host = new RoutedHost(options: new RoutingOptions { TunnelName = "esp0", UseGuard = false });

        Assert.False(host.Controller.Guard.Clear.IsActive);
        Assert.Contains(host.Log, line => line.StartsWith("Warning: Packets in clear", StringComparison.Ordinal));
        Assert.Equal("", host.Host.Exec("nft", "list", "ruleset"));
    }

    [Fact]
    public void Leftover_OfACrash_IsReplaced()
    {
        using var host = Make();
        host.Add(In("10.2.0.0/16", "192.168.0.1/32"));
        host.FlushGuard();
        host.Crash();
        AssertDropped(host, "10.2.0.5");

        host.Start();

        AssertArrives(host, "10.2.0.5");
    }

    private static RoutedHost Make()
    {
        var host = new RoutedHost();
        foreach (string address in new[] { "10.2.0.5/32", "10.2.0.6/32", "10.2.1.7/32", "fd00:2::5/128" })
        {
            bool is6 = address.Contains(':', StringComparison.Ordinal);
            host.Peer.Ip($"address add {address} dev eth0{(is6 ? " nodad" : "")}");
        }

        Assert.True(host.Controller.Guard.Clear.IsActive, host.Controller.Guard.Clear.ToString());
        return host;
    }

    private static void AssertArrives(RoutedHost host, string source, int port = Port) => AssertFate(true, host, source, port);

    private static void AssertDropped(RoutedHost host, string source, int port = Port) => AssertFate(false, host, source, port);

    /// <summary>
    /// A datagram of the peer reaches a socket on the host, or does not although an IKE message that was sent after it does. The two may change places on the way, as
    /// each waits in the queue of the processor that sent it: what arrives may be late, and so may the count of what is dropped.
    /// </summary>
    private static void AssertFate(bool arrives, RoutedHost host, string source, int port = Port)
    {
        bool is6 = source.Contains(':', StringComparison.Ordinal);
        string destination = is6 ? "fd00:9::1" : "192.168.0.1";
        using var server = host.Host.Listen(port, is6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork);
        using var witness = host.Host.Listen(4500 == port ? 500 : 4500, is6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork);
        host.Peer.SendUdp(source, destination, port);
        host.Peer.SendUdp(source, destination, 4500 == port ? 500 : 4500);

        Assert.True(witness.Receives(), "IKE must always arrive");
        Assert.Equal(arrives, arrives ? server.Receives() : server.HasReceived());
    }

    private static void AssertCounters(GuardCounters expected, RoutedHost host) => Assert.Equal(expected, Wait.ForValue(host.GuardCounters, expected));

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
