using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Hosts;

/// <summary>Packets made by hand and sent from raw sockets inside a namespace.</summary>
public static class RawPacket
{
    /// <summary>
    /// A router's word that a packet was too big: ICMP type 3 code 4 (RFC 1191) or ICMPv6 type 2 (RFC 4443 §3.2), quoting the start of an ESP packet
    /// from moon to sun.
    /// </summary>
    public static void TooBig(NetworkNamespace from, bool outer6, bool udp, int mtu, uint spi, uint sequence, int port = 4500)
    {
        var source = IPAddress.Parse(Gateways.MoonAt(outer6));
        var destination = IPAddress.Parse(Gateways.SunAt(outer6));
        byte[] esp = new byte[24];
        BinaryPrimitives.WriteUInt32BigEndian(esp, spi);
        BinaryPrimitives.WriteUInt32BigEndian(esp.AsSpan(4), sequence);
        byte[] quoted = Packet(source, destination, udp ? (byte)17 : (byte)50, udp ? Udp(port, port, esp) : esp);
        byte[] message = new byte[8 + quoted.Length];
        message[0] = outer6 ? (byte)2 : (byte)3;
        message[1] = outer6 ? (byte)0 : (byte)4;
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(4), (uint)mtu);
        quoted.CopyTo(message, 8);
        if (!outer6)
        {
            BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), NaiveChecksum.Of(message));
        }

        from.Run(() =>
        {
            using var socket = outer6
                ? new Socket(AddressFamily.InterNetworkV6, SocketType.Raw, ProtocolType.IcmpV6)
                : new Socket(AddressFamily.InterNetwork, SocketType.Raw, ProtocolType.Icmp);
            socket.SendTo(message, new IPEndPoint(source, 0));
        });
    }

    /// <summary>Sends whole IP packets, header included.</summary>
    public static void Send(NetworkNamespace from, IPAddress destination, params byte[][] packets) => from.Run(() =>
    {
        using var socket = new Socket(destination.AddressFamily, SocketType.Raw, ProtocolType.Raw);
        foreach (byte[] packet in packets)
        {
            socket.SendTo(packet, new IPEndPoint(destination, 0));
        }
    });

    /// <summary>A UDP datagram without checksum.</summary>
    public static byte[] Udp(int sourcePort, int destinationPort, ReadOnlySpan<byte> payload)
    {
        byte[] datagram = new byte[8 + payload.Length];
        BinaryPrimitives.WriteUInt16BigEndian(datagram, (ushort)sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), (ushort)destinationPort);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)datagram.Length);
        payload.CopyTo(datagram.AsSpan(8));
        return datagram;
    }

    /// <summary>A fragment of a UDP datagram: <paramref name="payload"/> lies at <paramref name="offset"/> (a multiple of 8) of the datagram.</summary>
    public static byte[] Fragment(IPAddress source, IPAddress destination, ushort identification, int offset, bool more, byte[] payload)
    {
        if (source.AddressFamily == AddressFamily.InterNetwork)
        {
            byte[] packet = Packet(source, destination, 17, payload);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), identification);
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(6), (ushort)((more ? 0x2000 : 0) | (offset / 8)));
            return packet;
        }

        // RFC 8200 §4.5: next header, reserved, offset and M, identification.
        byte[] header = new byte[8 + payload.Length];
        header[0] = 17;
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(2), (ushort)(offset | (more ? 1 : 0)));
        BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(4), identification);
        payload.CopyTo(header, 8);
        return Packet(source, destination, 44, header);
    }

    private static byte[] Packet(IPAddress source, IPAddress destination, byte protocol, byte[] payload)
    {
        bool ipv6 = source.AddressFamily == AddressFamily.InterNetworkV6;
        int header = ipv6 ? 40 : 20;
        byte[] packet = new byte[header + payload.Length];
        payload.CopyTo(packet, header);
        if (ipv6)
        {
            packet[0] = 0x60;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)payload.Length);
            packet[6] = protocol;
            packet[7] = 64;
            source.GetAddressBytes().CopyTo(packet, 8);
            destination.GetAddressBytes().CopyTo(packet, 24);
            return packet;
        }

        packet[0] = 0x45;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        packet[8] = 64;
        packet[9] = protocol;
        source.GetAddressBytes().CopyTo(packet, 12);
        destination.GetAddressBytes().CopyTo(packet, 16);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), NaiveChecksum.Of(packet.AsSpan(0, 20)));
        return packet;
    }
}
