using System.Buffers.Binary;
using Espalier.Testing;
using Espalier.Wire.Addresses;

namespace Espalier.Io.Tests.Sockets;

/// <summary>Builds whole IP packets and ICMP errors by hand, independently of the product's own code.</summary>
internal static class IpPackets
{
    /// <summary>IPv4 or IPv6 header, UDP header, payload; all checksums right.</summary>
    internal static byte[] Udp(string source, ushort sourcePort, string destination, ushort destinationPort, byte[] payload, bool dontFragment = false)
    {
        byte[] udp = new byte[8 + payload.Length];
        BinaryPrimitives.WriteUInt16BigEndian(udp, sourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(2), destinationPort);
        BinaryPrimitives.WriteUInt16BigEndian(udp.AsSpan(4), (ushort)udp.Length);
        payload.CopyTo(udp, 8);
        return Transport(InternetAddress.Parse(source), InternetAddress.Parse(destination), 17, udp, 6, dontFragment);
    }

    /// <summary>The answer to a TCP SYN (a whole IP packet): SYN and ACK, with an MSS of 1,460 (RFC 9293 §3.5).</summary>
    internal static byte[] SynAckTo(ReadOnlySpan<byte> syn)
    {
        bool isIPv4 = syn[0] >> 4 == 4;
        var from = isIPv4 ? InternetAddress.ReadIPv4(syn[12..]) : InternetAddress.ReadIPv6(syn[8..]);
        var to = isIPv4 ? InternetAddress.ReadIPv4(syn[16..]) : InternetAddress.ReadIPv6(syn[24..]);
        var segment = syn[(isIPv4 ? 20 : 40)..];
        byte[] answer = new byte[24];
        segment[2..4].CopyTo(answer);
        segment[..2].CopyTo(answer.AsSpan(2));
        BinaryPrimitives.WriteUInt32BigEndian(answer.AsSpan(4), 1000);
        BinaryPrimitives.WriteUInt32BigEndian(answer.AsSpan(8), BinaryPrimitives.ReadUInt32BigEndian(segment[4..]) + 1);
        answer[12] = 6 << 4;
        answer[13] = 0x12;
        BinaryPrimitives.WriteUInt16BigEndian(answer.AsSpan(14), 0xFFFF);
        new byte[] { 2, 4, 1460 >> 8, 1460 & 0xFF }.CopyTo(answer, 20);
        return Transport(to, from, 6, answer, 16, dontFragment: true);
    }

    private static byte[] Transport(InternetAddress from, InternetAddress to, byte protocol, byte[] segment, int checksumAt, bool dontFragment)
    {
        byte[] pseudo = Pseudo(from, to, protocol, segment);
        BinaryPrimitives.WriteUInt16BigEndian(segment.AsSpan(checksumAt), NaiveChecksum.Of(pseudo));
        return Ip(from, to, protocol, segment, dontFragment);
    }

    /// <summary>An IP header and its payload.</summary>
    internal static byte[] Ip(InternetAddress from, InternetAddress to, byte protocol, byte[] payload, bool dontFragment = false)
    {
        if (from.Version == IpVersion.IPv4)
        {
            byte[] packet = new byte[20 + payload.Length];
            packet[0] = 0x45;
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
            packet[6] = dontFragment ? (byte)0x40 : (byte)0;
            packet[8] = 64;
            packet[9] = protocol;
            from.Write(packet.AsSpan(12));
            to.Write(packet.AsSpan(16));
            BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), NaiveChecksum.Of(packet.AsSpan(0, 20)));
            payload.CopyTo(packet, 20);
            return packet;
        }

        byte[] packet6 = new byte[40 + payload.Length];
        packet6[0] = 0x60;
        BinaryPrimitives.WriteUInt16BigEndian(packet6.AsSpan(4), (ushort)payload.Length);
        packet6[6] = protocol;
        packet6[7] = 64;
        from.Write(packet6.AsSpan(8));
        to.Write(packet6.AsSpan(24));
        payload.CopyTo(packet6, 40);
        return packet6;
    }

    /// <summary>ICMPv4 destination unreachable, fragmentation needed (RFC 792, RFC 1191): type 3, code 4, checksum, 0, MTU, what was sent.</summary>
    internal static byte[] FragmentationNeeded(ushort mtu, ReadOnlySpan<byte> quoted)
    {
        byte[] message = new byte[8 + quoted.Length];
        message[0] = 3;
        message[1] = 4;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(6), mtu);
        quoted.CopyTo(message.AsSpan(8));
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), NaiveChecksum.Of(message));
        return message;
    }

    /// <summary>ICMPv6 packet too big (RFC 4443 §3.2): type 2, code 0, checksum (the kernel's), MTU, what was sent.</summary>
    internal static byte[] PacketTooBig(uint mtu, ReadOnlySpan<byte> quoted)
    {
        byte[] message = new byte[8 + quoted.Length];
        message[0] = 2;
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(4), mtu);
        quoted.CopyTo(message.AsSpan(8));
        return message;
    }

    private static byte[] Pseudo(InternetAddress from, InternetAddress to, byte protocol, byte[] payload)
    {
        // RFC 768 and RFC 8200 §8.1; the sum does not care about the width of the length.
        byte[] pseudo = new byte[(2 * from.ByteLength) + 4 + payload.Length];
        from.Write(pseudo);
        to.Write(pseudo.AsSpan(from.ByteLength));
        pseudo[(2 * from.ByteLength) + 1] = protocol;
        BinaryPrimitives.WriteUInt16BigEndian(pseudo.AsSpan((2 * from.ByteLength) + 2), (ushort)payload.Length);
        payload.CopyTo(pseudo, (2 * from.ByteLength) + 4);
        return pseudo;
    }
}
