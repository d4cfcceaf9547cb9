using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Espalier.Wire.Addresses;

namespace Espalier.Wire.Packets;

/// <summary>
/// Reads inner packets as <see cref="InnerPacketParser"/> does, and tells which are of the flow of the packet before: the segments of a super-packet
/// come in a row, and what decides about one decides about all. Of such a packet only what can differ is read again.
/// <code>
///            must be as in the packet before                          is read again
///   IPv4     no options, no fragment; protocol, addresses, ports      total length, identification, DF, traffic class, TTL
///   IPv6     no extension headers; next header, addresses, ports      payload length, traffic class, hop limit
/// </code>
/// One worker's. Allocates nothing, throws nothing.
/// </summary>
public sealed class FlowParser
{
    private const int PortsLength = 4;
    private const int EndOfPortsIPv4 = IPv4Packet.MinimumHeaderLength + PortsLength;
    private const int EndOfPortsIPv6 = IPv6Packet.FixedHeaderLength + PortsLength;

    private PacketSummary _summary;

    // Of the last packet, as the bytes stand in it; None: the next one must be read as a whole.
    private IpVersion _version;
    private ulong _addresses0, _addresses1, _addresses2, _addresses3;
    private uint _ports;

    /// <summary>What was read of the last packet; undefined where <see cref="TryParse"/> returned false.</summary>
    public ref readonly PacketSummary Summary => ref _summary;

    /// <summary>
    /// True where the last packet is whole and has the addresses, protocol and ports of the one before it. False does not mean that they differ.
    /// </summary>
    public bool IsSameFlow { get; private set; }

    /// <summary>Reads a packet. False where <see cref="InnerPacketParser.TryParse"/> returns false.</summary>
    public bool TryParse(ReadOnlySpan<byte> buffer)
    {
        IsSameFlow = _version switch
        {
            IpVersion.IPv4 => ContinuesIPv4(buffer),
            IpVersion.IPv6 => ContinuesIPv6(buffer),
            _ => false,
        };
        if (IsSameFlow)
        {
            return true;
        }

        _version = IpVersion.None;
        if (!InnerPacketParser.TryParse(buffer, out _summary))
        {
            return false;
        }

        Remember(buffer);
        return true;
    }

    private void Remember(ReadOnlySpan<byte> packet)
    {
        bool startsWithPorts = _summary.Protocol is IpProtocol.Tcp or IpProtocol.Udp or IpProtocol.UdpLite or IpProtocol.Sctp or IpProtocol.Dccp;
        if (!startsWithPorts || !_summary.PortsKnown || _summary.IsFragment)
        {
            return;
        }

        if (_summary is { Version: IpVersion.IPv4, HeaderLength: IPv4Packet.MinimumHeaderLength })
        {
            _version = IpVersion.IPv4;
            _addresses0 = Word(packet, 12);
            _ports = Ports(packet, IPv4Packet.MinimumHeaderLength);
        }
        else if (_summary is { Version: IpVersion.IPv6, HeaderLength: IPv6Packet.FixedHeaderLength })
        {
            _version = IpVersion.IPv6;
            (_addresses0, _addresses1) = (Word(packet, 8), Word(packet, 16));
            (_addresses2, _addresses3) = (Word(packet, 24), Word(packet, 32));
            _ports = Ports(packet, IPv6Packet.FixedHeaderLength);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool ContinuesIPv4(ReadOnlySpan<byte> packet)
    {
        const byte VersionAndLength = 0x45;
        const int FragmentBits = IPv4Packet.MoreFragmentsFlag | IPv4Packet.FragmentOffsetMask;
        if (packet.Length < EndOfPortsIPv4 || packet[0] != VersionAndLength)
        {
            return false;
        }

        int total = BinaryPrimitives.ReadUInt16BigEndian(packet[2..]);
        int fragment = BinaryPrimitives.ReadUInt16BigEndian(packet[6..]);
        if (total < EndOfPortsIPv4 || total > packet.Length || (fragment & FragmentBits) != 0 || packet[9] != _summary.Protocol
            || Word(packet, 12) != _addresses0 || Ports(packet, IPv4Packet.MinimumHeaderLength) != _ports)
        {
            return false;
        }

        _summary.TotalLength = total;
        _summary.FragmentId = BinaryPrimitives.ReadUInt16BigEndian(packet[4..]);
        _summary.DontFragment = (fragment & IPv4Packet.DontFragmentFlag) != 0;
        _summary.TrafficClass = packet[1];
        _summary.TimeToLive = packet[8];
        return true;
    }

    private bool ContinuesIPv6(ReadOnlySpan<byte> packet)
    {
        if (packet.Length < EndOfPortsIPv6 || packet[0] >> 4 != (int)IpVersion.IPv6)
        {
            return false;
        }

        int total = IPv6Packet.FixedHeaderLength + BinaryPrimitives.ReadUInt16BigEndian(packet[4..]);
        if (total < EndOfPortsIPv6 || total > packet.Length || packet[6] != _summary.Protocol
            || Word(packet, 8) != _addresses0 || Word(packet, 16) != _addresses1 || Word(packet, 24) != _addresses2 || Word(packet, 32) != _addresses3
            || Ports(packet, IPv6Packet.FixedHeaderLength) != _ports)
        {
            return false;
        }

        _summary.TotalLength = total;
        _summary.TrafficClass = (byte)(BinaryPrimitives.ReadUInt16BigEndian(packet) >> 4);
        _summary.TimeToLive = packet[7];
        return true;
    }

    private static ulong Word(ReadOnlySpan<byte> packet, int offset) => MemoryMarshal.Read<ulong>(packet[offset..]);

    private static uint Ports(ReadOnlySpan<byte> packet, int offset) => MemoryMarshal.Read<uint>(packet[offset..]);
}
