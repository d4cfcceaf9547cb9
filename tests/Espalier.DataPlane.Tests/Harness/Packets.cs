using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Tests.Harness;

/// <summary>Inner packets.</summary>
internal static class Packets
{
    public static InternetAddress Address(string text) => InternetAddress.Parse(text);

    /// <summary>A UDP packet with payload 0, 1, 2, ….</summary>
    public static byte[] Udp(
        string source, string destination, int payload = 64, ushort sourcePort = 1000, ushort destinationPort = 2000, byte trafficClass = 0,
        bool dontFragment = true, byte timeToLive = 64, ushort identification = 7)
    {
        var from = Address(source);
        var to = Address(destination);
        bool isIPv6 = from.Version == IpVersion.IPv6;
        int header = isIPv6 ? 40 : 20;
        byte[] packet = new byte[header + 8 + payload];
        for (int i = 0; i < payload; i++)
        {
            packet[header + 8 + i] = (byte)i;
        }

        if (isIPv6)
        {
            PacketWriter.WriteIPv6(packet, from, to, IpProtocol.Udp, 8 + payload, trafficClass, timeToLive);
        }
        else
        {
            PacketWriter.WriteIPv4(
                packet, from, to, IpProtocol.Udp, 8 + payload, identification, dontFragment ? IPv4Packet.DontFragmentFlag : (ushort)0,
                trafficClass, timeToLive);
        }

        PacketWriter.WriteUdp(packet.AsSpan(header), from, to, sourcePort, destinationPort);
        return packet;
    }

    /// <summary>A UDP packet that is <paramref name="total"/> bytes long, header included.</summary>
    public static byte[] UdpOfLength(string source, string destination, int total, bool dontFragment = true) =>
        Udp(source, destination, total - (Address(source).Version == IpVersion.IPv6 ? 48 : 28), dontFragment: dontFragment);

    /// <summary>An IP packet of any protocol with any payload.</summary>
    public static byte[] Ip(string source, string destination, byte protocol, byte[] payload)
    {
        var from = Address(source);
        int header = from.Version == IpVersion.IPv6 ? 40 : 20;
        byte[] packet = new byte[header + payload.Length];
        PacketWriter.WriteIp(packet, from, Address(destination), protocol, payload.Length);
        payload.CopyTo(packet, header);
        return packet;
    }

    public static InternetAddress SourceOf(byte[] packet) => Parse(packet).Source;

    public static PacketSummary Parse(byte[] packet)
    {
        Assert.True(InnerPacketParser.TryParse(packet, out var summary), "Not an IP packet.");
        return summary;
    }
}
