using System.Buffers.Binary;

namespace Espalier.EndToEnd.Tests.Hosts;

/// <summary>The fields of an IPv4 or IPv6 header that the tests look at, read from a captured Ethernet frame without the code under test.</summary>
public sealed record IpHeader(int Version, int TrafficClass, int Length, bool DontFragment, bool IsFragment, int HopLimit, int Protocol, byte[] Payload)
{
    /// <summary>Reads the header behind 14 bytes of Ethernet.</summary>
    public static IpHeader Of(byte[] frame) => OfPacket(frame.AsSpan(14));

    /// <summary>Reads the header of a packet without link header.</summary>
    public static IpHeader OfPacket(ReadOnlySpan<byte> packet)
    {
        if (packet[0] >> 4 == 6)
        {
            int payload = BinaryPrimitives.ReadUInt16BigEndian(packet[4..]);
            int trafficClass = (BinaryPrimitives.ReadUInt16BigEndian(packet) >> 4) & 0xff;
            return new IpHeader(6, trafficClass, 40 + payload, true, packet[6] == 44, packet[7], packet[6], packet[40..(40 + payload)].ToArray());
        }

        int header = (packet[0] & 15) * 4, length = BinaryPrimitives.ReadUInt16BigEndian(packet[2..]);
        int fragment = BinaryPrimitives.ReadUInt16BigEndian(packet[6..]);
        return new IpHeader(
            4, packet[1], length, (fragment & 0x4000) != 0, (fragment & 0x3fff) != 0, packet[8], packet[9], packet[header..length].ToArray());
    }

    /// <summary>Not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3.</summary>
    public int Ecn => TrafficClass & 3;
}
