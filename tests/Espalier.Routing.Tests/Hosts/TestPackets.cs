using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Espalier.Testing;
using Espalier.Wire.Checksums;

namespace Espalier.Routing.Tests.Hosts;

/// <summary>Packets and sockets of the tests.</summary>
internal static class TestPackets
{
    /// <summary>An IPv4 packet with UDP and one byte.</summary>
    public static byte[] Udp4(string source, string destination, ushort port)
    {
        byte[] packet = new byte[29];
        packet[0] = 0x45;
        packet[3] = 29;
        packet[8] = 64;
        packet[9] = 17;
        Build.Ip(source).Write(packet.AsSpan(12));
        Build.Ip(destination).Write(packet.AsSpan(16));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), InternetChecksum.Compute(packet.AsSpan(0, 20)));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(20), 999);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(22), port);
        packet[25] = 9;
        return packet;
    }

    /// <summary>Sends a UDP datagram from a bound source.</summary>
    public static void SendUdp(this NetworkNamespace where, string source, string destination, int port, int sourcePort = 0) => where.Run(() =>
    {
        var remote = new IPEndPoint(IPAddress.Parse(destination), port);
        using var socket = new Socket(remote.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Parse(source), sourcePort));
        socket.SendTo([1], remote);
    });

    /// <summary>Sends eight bytes of protocol 50 from a bound source.</summary>
    public static void SendEsp(this NetworkNamespace where, string source, string destination) => where.Run(() =>
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Raw, (ProtocolType)50);
        socket.Bind(new IPEndPoint(IPAddress.Parse(source), 0));
        socket.SendTo(new byte[8], new IPEndPoint(IPAddress.Parse(destination), 0));
    });

    /// <summary>A UDP socket that waits for datagrams on all addresses of one family.</summary>
    public static Socket Listen(this NetworkNamespace where, int port, AddressFamily family = AddressFamily.InterNetwork) => where.Run(() =>
    {
        var socket = new Socket(family, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 2000 };
        socket.Bind(new IPEndPoint(family == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, port));
        return socket;
    });

    /// <summary>A raw socket that waits for protocol 50.</summary>
    public static Socket ListenEsp(this NetworkNamespace where) => where.Run(() =>
        new Socket(AddressFamily.InterNetwork, SocketType.Raw, (ProtocolType)50) { ReceiveTimeout = 2000 });

    /// <summary>True if something arrives within two seconds.</summary>
    public static bool Receives(this Socket socket)
    {
        try
        {
            return socket.Receive(new byte[2000]) > 0;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>True if something is there now.</summary>
    public static bool HasReceived(this Socket socket) => socket.Poll(100_000, SelectMode.SelectRead);
}
