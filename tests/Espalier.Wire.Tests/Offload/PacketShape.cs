using System.Buffers.Binary;
using Espalier.Testing;
using Espalier.Wire.Offload;

namespace Espalier.Wire.Tests.Offload;

/// <summary>
/// A packet of TCP or UDP by its fields, built byte by byte and independently of the product's own code: the plain model that segments and
/// super-packets are compared with.
/// </summary>
internal sealed record PacketShape
{
    public bool IsIPv6 { get; init; }
    public bool IsTcp { get; init; } = true;

    /// <summary>Last byte of source and destination address.</summary>
    public byte Hosts { get; init; } = 1;
    public ushort SourcePort { get; init; } = 40000;
    public ushort DestinationPort { get; init; } = 443;
    public byte TrafficClass { get; init; }
    public byte TimeToLive { get; init; } = 64;
    public int FlowLabel { get; init; } = 0x12345;

    /// <summary>IPv4 options: a multiple of 4 bytes.</summary>
    public byte[] Options { get; init; } = [];

    /// <summary>IPv6 extension headers, by their numbers; each takes 8 bytes but for the Routing header with one address.</summary>
    public byte[] ExtensionHeaders { get; init; } = [];

    /// <summary>Segments left in a Routing header: with 1, the pseudo header has the address in it.</summary>
    public byte SegmentsLeft { get; init; }
    public ushort Identification { get; init; } = 0x1234;
    public bool DontFragment { get; init; } = true;
    public uint Sequence { get; init; } = 1000;
    public uint Acknowledgment { get; init; } = 2000;
    public byte Flags { get; init; } = 0x10;
    public ushort Window { get; init; } = 500;
    public ushort UrgentPointer { get; init; }
    public byte[] TcpOptions { get; init; } = [];
    public byte[] Payload { get; init; } = [];

    public int TransportOffset => IsIPv6 ? 40 + ExtensionHeaders.Sum(SizeOf) : 20 + Options.Length;

    public int HeaderLength => TransportOffset + (IsTcp ? 20 + TcpOptions.Length : 8);

    /// <summary>The packet as it goes on the wire.</summary>
    public byte[] Build()
    {
        byte[] packet = WithoutChecksum();
        ushort checksum = (ushort)~NaiveChecksum.Sum([.. PseudoHeader(packet), .. packet[TransportOffset..]]);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(TransportOffset + ChecksumOffset), checksum == 0 && !IsTcp ? (ushort)0xFFFF : checksum);
        return packet;
    }

    /// <summary>The packet with the sum of its pseudo header in the place of its checksum, and the header that goes with it.</summary>
    public byte[] BuildPartial(int segmentSize, out VnetHeader header)
    {
        byte[] packet = WithoutChecksum();
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(TransportOffset + ChecksumOffset), NaiveChecksum.Sum(PseudoHeader(packet)));
        header = new VnetHeader
        {
            NeedsChecksum = true,
            GsoType = segmentSize == 0 ? GsoType.None : !IsTcp ? GsoType.UdpL4 : IsIPv6 ? GsoType.TcpV6 : GsoType.TcpV4,
            HeaderLength = (ushort)HeaderLength,
            GsoSize = (ushort)segmentSize,
            ChecksumStart = (ushort)TransportOffset,
            ChecksumOffset = (ushort)ChecksumOffset,
        };
        return packet;
    }

    /// <summary>The segments that the kernel's GSO makes of it: the rules, one shape a segment.</summary>
    public List<PacketShape> Segment(int segmentSize)
    {
        var segments = new List<PacketShape>();
        for (int at = 0; at == 0 || at < Payload.Length; at += segmentSize)
        {
            bool isLast = at + segmentSize >= Payload.Length;
            segments.Add(this with
            {
                Payload = Payload[at..Math.Min(at + segmentSize, Payload.Length)],
                Identification = (ushort)(Identification + segments.Count),
                Sequence = Sequence + (uint)at,
                Flags = (byte)(Flags & (isLast ? 0xFF : 0xF6) & (at == 0 ? 0xFF : 0x7F)),
            });
        }

        return segments;
    }

    private int ChecksumOffset => IsTcp ? 16 : 6;

    private static int SizeOf(byte extensionHeader) => extensionHeader == 43 ? 24 : 8;

    private byte[] WithoutChecksum()
    {
        byte[] packet = new byte[HeaderLength + Payload.Length];
        Payload.CopyTo(packet, HeaderLength);
        if (IsIPv6)
        {
            WriteIPv6(packet);
        }
        else
        {
            WriteIPv4(packet);
        }

        WriteTransport(packet.AsSpan(TransportOffset));
        return packet;
    }

    private void WriteIPv4(byte[] packet)
    {
        packet[0] = (byte)(0x40 | (TransportOffset / 4));
        packet[1] = TrafficClass;
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(2), (ushort)packet.Length);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), Identification);
        packet[6] = DontFragment ? (byte)0x40 : (byte)0;
        packet[8] = TimeToLive;
        packet[9] = IsTcp ? (byte)6 : (byte)17;
        new byte[] { 10, 0, 0, Hosts, 10, 0, 1, Hosts }.CopyTo(packet, 12);
        Options.CopyTo(packet, 20);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(10), (ushort)~NaiveChecksum.Sum(packet.AsSpan(0, TransportOffset)));
    }

    private void WriteIPv6(byte[] packet)
    {
        BinaryPrimitives.WriteUInt32BigEndian(packet, 0x6000_0000u | ((uint)TrafficClass << 20) | (uint)FlowLabel);
        BinaryPrimitives.WriteUInt16BigEndian(packet.AsSpan(4), (ushort)(packet.Length - 40));
        packet[7] = TimeToLive;
        Address(1).CopyTo(packet, 8);
        Address(2).CopyTo(packet, 24);
        int next = 6;
        int at = 40;
        foreach (byte header in ExtensionHeaders)
        {
            packet[next] = header;
            next = at;
            packet[at + 1] = (byte)((SizeOf(header) / 8) - 1);
            if (header == 43)
            {
                packet[at + 2] = 2;
                packet[at + 3] = SegmentsLeft;
                Address(3).CopyTo(packet, at + 8);
            }
            else
            {
                packet[at + 2] = 1;
                packet[at + 3] = 4;
            }

            at += SizeOf(header);
        }

        packet[next] = IsTcp ? (byte)6 : (byte)17;
    }

    private void WriteTransport(Span<byte> transport)
    {
        BinaryPrimitives.WriteUInt16BigEndian(transport, SourcePort);
        BinaryPrimitives.WriteUInt16BigEndian(transport[2..], DestinationPort);
        if (!IsTcp)
        {
            BinaryPrimitives.WriteUInt16BigEndian(transport[4..], (ushort)transport.Length);
            return;
        }

        BinaryPrimitives.WriteUInt32BigEndian(transport[4..], Sequence);
        BinaryPrimitives.WriteUInt32BigEndian(transport[8..], Acknowledgment);
        transport[12] = (byte)((20 + TcpOptions.Length) << 2);
        transport[13] = Flags;
        BinaryPrimitives.WriteUInt16BigEndian(transport[14..], Window);
        BinaryPrimitives.WriteUInt16BigEndian(transport[18..], UrgentPointer);
        TcpOptions.CopyTo(transport[20..]);
    }

    private byte[] PseudoHeader(byte[] packet)
    {
        int length = packet.Length - TransportOffset;
        byte[] end = [(byte)(length >> 16), 0, (byte)(length >> 8), (byte)length, 0, IsTcp ? (byte)6 : (byte)17];
        byte[] final = SegmentsLeft > 0 && ExtensionHeaders.Contains((byte)43) ? Address(3) : Address(2);
        return IsIPv6 ? [.. Address(1), .. final, .. end] : [.. packet[12..20], .. end];
    }

    private byte[] Address(byte network) => [0xFD, 0x78, 0, 0, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, Hosts];
}
