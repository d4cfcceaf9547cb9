using System.Net;
using System.Net.Sockets;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// Packets in clear right after a policy has changed: once `ip xfrm policy` has its answer, the guard holds the change. Moon has no policy and sends in clear.
/// The hosts are drawn at <see cref="TwoHosts"/>.
/// </summary>
public sealed class GuardTests
{
    private const int Rounds = 20;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Policy_AddedAndDeleted_HoldsForTheNextPacket(bool ipv6)
    {
        using var hosts = Clear(ipv6);
        using var receiver = new Receiver(hosts, ipv6);
        for (int round = 0; round < Rounds; round++)
        {
            long before = Guarded(hosts);
            Policy(hosts, "add", ipv6, "");
            receiver.Send();
            Assert.False(receiver.Arrived());
            Assert.Equal(before + 1, Guarded(hosts));

            Policy(hosts, "delete", ipv6, "");
            receiver.Send();
            Assert.True(receiver.Arrived(), $"round {round}: dropped though the policy is gone");
            Assert.Equal(before + 1, Guarded(hosts));
        }
    }

    [Fact]
    public void Selector_Narrowed_HoldsForTheNextPacket()
    {
        using var hosts = Clear(ipv6: false);
        using var receiver = new Receiver(hosts, ipv6: false);
        for (int round = 0; round < Rounds; round++)
        {
            Policy(hosts, "add", false, "");
            Policy(hosts, "add", false, "proto tcp");
            Policy(hosts, "delete", false, "");
            receiver.Send();
            Assert.True(receiver.Arrived(), $"round {round}: dropped though only TCP is protected");

            Policy(hosts, "add", false, "proto udp");
            receiver.Send();
            Assert.False(receiver.Arrived());
            hosts.SunDaemon.Exec("ip xfrm policy flush").Expect();
        }
    }

    [Fact]
    public void Default_SetToBlock_HoldsForTheNextPacket()
    {
        using var hosts = Clear(ipv6: false);
        using var receiver = new Receiver(hosts, ipv6: false);
        for (int round = 0; round < Rounds; round++)
        {
            long before = Guarded(hosts);
            hosts.SunDaemon.Exec("ip xfrm policy setdefault in block").Expect();
            receiver.Send();
            Assert.False(receiver.Arrived());
            Assert.Equal(before + 1, Guarded(hosts));

            hosts.SunDaemon.Exec("ip xfrm policy setdefault in accept").Expect();
            receiver.Send();
            Assert.True(receiver.Arrived());
        }
    }

    private static TwoHosts Clear(bool ipv6)
    {
        Requirements.Need("nft");
        var hosts = new TwoHosts();
        hosts.Moon.Ip($"route add {TwoHosts.Net(2, ipv6)} via {TwoHosts.Outer(2, ipv6)}");
        hosts.Sun.Ip($"route add {TwoHosts.Net(1, ipv6)} via {TwoHosts.Outer(1, ipv6)}");
        return hosts;
    }

    private static void Policy(TwoHosts hosts, string verb, bool ipv6, string upper)
    {
        string template = verb == "add" ? $"tmpl src {TwoHosts.Outer(1, ipv6)} dst {TwoHosts.Outer(2, ipv6)} proto esp reqid 1 mode tunnel" : "";
        hosts.SunDaemon.Exec($"ip xfrm policy {verb} src {TwoHosts.Net(1, ipv6)} dst {TwoHosts.Net(2, ipv6)} {upper} dir in {template}").Expect();
    }

    private static long Guarded(TwoHosts hosts) => (long)hosts.SunDaemon.Stat()["kernelDrops"]!["guardInbound"]!;

    /// <summary>A socket on sun, and one on moon that sends to it; the first datagram, in clear by design, has resolved the neighbours.</summary>
    private sealed class Receiver : IDisposable
    {
        private const int LossMilliseconds = 100;
        private readonly Socket _receiver;
        private readonly Socket _sender;

        internal Receiver(TwoHosts hosts, bool ipv6)
        {
            var to = new IPEndPoint(IPAddress.Parse(TwoHosts.Inner(2, ipv6)), 5000);
            _receiver = hosts.Sun.Run(() => Bound(to));
            _sender = hosts.Moon.Run(() =>
            {
                var socket = Bound(new IPEndPoint(IPAddress.Parse(TwoHosts.Inner(1, ipv6)), 5000));
                socket.Connect(to);
                return socket;
            });
            Send();
            Assert.True(_receiver.Poll(TimeSpan.FromSeconds(5), SelectMode.SelectRead) && Arrived());
        }

        internal void Send() => _sender.Send([1]);

        /// <summary>A datagram in the same host is there at once, so that a short wait tells that it was dropped.</summary>
        internal bool Arrived() => _receiver.Poll(LossMilliseconds * 1000, SelectMode.SelectRead) && _receiver.Receive(new byte[1]) == 1;

        public void Dispose()
        {
            _receiver.Dispose();
            _sender.Dispose();
        }

        private static Socket Bound(IPEndPoint address)
        {
            var socket = new Socket(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
            socket.Bind(address);
            return socket;
        }
    }
}
