using System.Net.Sockets;
using Espalier.Routing.Guard;
using Espalier.Testing;

namespace Espalier.Routing.Tests.Hosts;

/// <summary>A <see cref="RoutedHost"/> with its guard on, whose peer has the addresses 10.2.0.5 and fd00:2::5, 10.2.0.6 and 10.2.1.7 besides; and what becomes of packets in clear.</summary>
internal static class GuardedHost
{
    internal const int Port = 5000;

    internal static RoutedHost Make()
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

    internal static void AssertArrives(RoutedHost host, string source, int port = Port) => AssertFate(true, host, source, port);

    internal static void AssertDropped(RoutedHost host, string source, int port = Port) => AssertFate(false, host, source, port);

    /// <summary>
    /// A datagram of the peer reaches a socket on the host, or does not although an IKE message that was sent after it does. The two may change places on the way, as
    /// each waits in the queue of the processor that sent it: what arrives may be late, and so may the count of what is dropped.
    /// </summary>
    internal static void AssertFate(bool arrives, RoutedHost host, string source, int port = Port)
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

    internal static void AssertCounters(GuardCounters expected, RoutedHost host) => Assert.Equal(expected, Wait.ForValue(host.GuardCounters, expected));
}
