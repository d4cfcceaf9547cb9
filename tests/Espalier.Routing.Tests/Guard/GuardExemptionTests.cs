using Espalier.Ipsec.Sad;
using Espalier.Routing.Guard;
using Espalier.Routing.Tests.Hosts;
using static Espalier.Routing.Tests.Hosts.Build;
using static Espalier.Routing.Tests.Hosts.GuardedHost;

namespace Espalier.Routing.Tests.Guard;

/// <summary>What the guard lets pass whatever the policies say: our ESP, IKE, neighbours, and ICMP errors about our ESP.</summary>
public sealed class GuardExemptionTests
{
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

        host.Host.Run(() =>
        {
            using (host.Database.Freeze())
            {
                association.Encapsulation = new UdpEncapsulation(4500, 7778, default);
                host.Database.Sad.NotifyPortsChanged(association);
            }

            host.Controller.Process();
        });
        host.FlushGuard();

        AssertArrives(host, "192.168.0.2", 7778);
        AssertDropped(host, "192.168.0.2", 7777);

        host.Remove(association);
        host.FlushGuard();

        AssertDropped(host, "192.168.0.2", 7778);
    }

    // Until one of its addresses is there, an SA is taken for inbound.
    [Fact]
    public void Exempt_PortOfAnSaThatCameBeforeItsAddress_FollowsTheAddress()
    {
        using var host = Make();
        host.Add(In("0.0.0.0/0", "0.0.0.0/0"));
        var association = Sa(0x100, "192.168.0.77", "10.2.0.6");
        association.Encapsulation = new UdpEncapsulation(7777, 7776, default);
        host.Add(association);
        host.FlushGuard();
        AssertDropped(host, "192.168.0.2", 7777);

        host.Host.Ip("address add 192.168.0.77/32 dev eth0");

        Assert.True(host.ProcessUntil(() => host.Try("nft list table inet espalier_esp0").Output.Contains("7777", StringComparison.Ordinal)));
        host.FlushGuard();
        AssertArrives(host, "192.168.0.2", 7777);
    }
}
