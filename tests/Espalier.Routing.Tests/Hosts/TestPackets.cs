using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Espalier.Io.Batches;
using Espalier.Io.Sockets;
using Espalier.Testing;
using Espalier.Wire.Checksums;

namespace Espalier.Routing.Tests.Hosts;

/// <summary>Packets and sockets of the tests.</summary>
internal static class TestPackets
{
    /// <summary>An IPv4 packet with UDP and one byte.</summary>
    public static byte[] Udp4(string source, string destination, ushort port)
    {
        byte[] packet = IPv4(source, destination, 17, 9);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(20), 999);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(22), port);
        packet[25] = 9;
        return packet;
    }

    /// <summary>An IPv4 packet with zeros.</summary>
    public static byte[] IPv4(string source, string destination, byte protocol, int length)
    {
        byte[] packet = new byte[20 + length];
        packet[0] = 0x45;
        packet[3] = (byte)packet.Length;
        packet[8] = 64;
        packet[9] = protocol;
        Build.Ip(source).Write(packet.AsSpan(12));
        Build.Ip(destination).Write(packet.AsSpan(16));
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), InternetChecksum.Compute(packet.AsSpan(0, 20)));
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

    /// <summary>Sends a whole packet past the routing of policies, with a firewall mark.</summary>
    public static void SendRaw(this NetworkNamespace where, byte[] packet, uint mark = 0) => where.Run(() =>
    {
        using var sender = BypassSender.Open(mark);
        Assert.Equal(0, sender.Send(packet));
    });

    /// <summary>Sends a whole IPv4 packet into the loopback device, as if it came in there, with a firewall mark.</summary>
    public static void SendIntoLoopback(this NetworkNamespace where, byte[] packet, uint mark) => where.Run(() =>
    {
        const int SolSocket = 1, SoMark = 36;
        using var socket = new Socket(AddressFamily.Packet, SocketType.Dgram, 0);
        socket.SetRawSocketOption(SolSocket, SoMark, BitConverter.GetBytes(mark));
        Assert.Equal(packet.Length, socket.SendTo(packet, new LoopbackDevice()));
    });

    /// <summary>
    /// A UDP socket that waits for datagrams on all addresses of one family. The port of one that was closed can be taken for a moment: a process that another test
    /// starts has copies of this process's descriptors until it executes its program.
    /// </summary>
    public static Socket Listen(this NetworkNamespace where, int port, AddressFamily family = AddressFamily.InterNetwork) => where.Run(() =>
    {
        var socket = new Socket(family, SocketType.Dgram, ProtocolType.Udp) { ReceiveTimeout = 20_000 };
        for (int left = 2000; ; left--)
        {
            try
            {
                socket.Bind(new IPEndPoint(family == AddressFamily.InterNetwork ? IPAddress.Any : IPAddress.IPv6Any, port));
                return socket;
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse && left > 0)
            {
                Thread.Sleep(10);
            }
        }
    });

    /// <summary>A raw socket that waits for protocol 50.</summary>
    public static RawEspSocket ListenEsp(this NetworkNamespace where) => where.Run(() => RawEspSocket.Open(new OuterSocketOptions()));

    /// <summary>True if ESP arrives in time, however busy the machine.</summary>
    public static bool Receives(this RawEspSocket socket)
    {
        var batch = new PacketBatch(4, 2048, 128);
        return Wait.For(() => socket.Receive(batch) > 0);
    }

    /// <summary>True if something arrives within 20 seconds, however busy the machine.</summary>
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

    /// <summary>True if something is there within a tenth of a second.</summary>
    public static bool HasReceived(this Socket socket) => socket.Poll(100_000, SelectMode.SelectRead);

    /// <summary>struct sockaddr_ll: family, protocol (big-endian), interface index, then hardware type, packet type and address, which play no part.</summary>
    private sealed class LoopbackDevice : EndPoint
    {
        private const int Length = 20, ProtocolOffset = 2, IndexOffset = 4, EtherTypeIPv4 = 0x0800, LoopbackIndex = 1;

        public override SocketAddress Serialize()
        {
            var address = new SocketAddress(AddressFamily.Packet, Length);
            BinaryPrimitives.WriteUInt16BigEndian(address.Buffer.Span[ProtocolOffset..], EtherTypeIPv4);
            BinaryPrimitives.WriteInt32LittleEndian(address.Buffer.Span[IndexOffset..], LoopbackIndex);
            return address;
        }
    }
}
