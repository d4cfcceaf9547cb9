using System.Net;
using System.Net.Sockets;
using Espalier.Testing;

namespace Espalier.Routing.Tests.Hosts;

/// <summary>Local traffic of every kind, and the source address that the kernel chose for it.</summary>
internal static class LocalTraffic
{
    public static void SendUnconnected(RoutedHost host, string destination, int port) => host.Host.Run(() =>
    {
        using var socket = Open(destination, SocketType.Dgram);
        socket.SendTo([1, 2, 3], new IPEndPoint(IPAddress.Parse(destination), port));
    });

    public static void Send(NetworkNamespace where, string source, string destination, int port) => where.Run(() =>
    {
        using var socket = Open(destination, SocketType.Dgram);
        socket.Bind(new IPEndPoint(IPAddress.Parse(source), 0));
        socket.SendTo([1, 2, 3], new IPEndPoint(IPAddress.Parse(destination), port));
    });

    public static string SendConnected(RoutedHost host, string destination, int port) => host.Host.Run(() =>
    {
        using var socket = Open(destination, SocketType.Dgram);
        socket.Connect(new IPEndPoint(IPAddress.Parse(destination), port));
        socket.Send([1]);
        return ((IPEndPoint)socket.LocalEndPoint!).Address.ToString();
    });

    public static void StartTcp(RoutedHost host, string destination, int port) => host.Host.Run(() =>
    {
        using var socket = Open(destination, SocketType.Stream);
        socket.Blocking = false;
        var refused = Assert.Throws<SocketException>(() => socket.Connect(new IPEndPoint(IPAddress.Parse(destination), port)));
        Assert.Equal(SocketError.WouldBlock, refused.SocketErrorCode);
    });

    private static Socket Open(string destination, SocketType type) => new(
        IPAddress.Parse(destination).AddressFamily, type, type == SocketType.Stream ? ProtocolType.Tcp : ProtocolType.Udp);
}
