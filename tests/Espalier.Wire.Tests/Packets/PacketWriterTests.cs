using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Packets;

// The writers against what Linux sent.
public sealed class PacketWriterTests
{
    [Fact]
    public void WriteIPv4_FieldsOfCapture_GiveItsBytes()
    {
        byte[] captured = Captures.EchoRequest4;
        byte[] written = new byte[captured.Length];
        captured.AsSpan(20).CopyTo(written.AsSpan(20));
        int length = PacketWriter.WriteIPv4(
            written, Captures.HostA4, Captures.HostB4, IpProtocol.Icmp, captured.Length - 20, 0xBD5A, IPv4Packet.DontFragmentFlag);
        Assert.Equal(20, length);
        Assert.Equal(captured, written);
    }

    [Fact]
    public void WriteIp_IPv6_GivesTheCaptureWithoutItsFlowLabel()
    {
        byte[] captured = Captures.EchoRequest6;
        captured[1] = captured[2] = captured[3] = 0;
        byte[] written = new byte[captured.Length];
        captured.AsSpan(40).CopyTo(written.AsSpan(40));
        Assert.Equal(40, PacketWriter.WriteIp(written, Captures.HostA6, Captures.HostB6, IpProtocol.IcmpV6, captured.Length - 40));
        Assert.Equal(captured, written);
    }

    [Fact]
    public void WriteUdp_PayloadOfCapture_GivesItsChecksum()
    {
        byte[] captured = Captures.TooBig4;
        byte[] written = [.. captured];
        written.AsSpan(0, 28).Fill(0xAA);
        PacketWriter.WriteUdp(written.AsSpan(20), Captures.HostA4, Captures.HostB4, 4660, 9);
        PacketWriter.WriteIp(written, Captures.HostA4, Captures.HostB4, IpProtocol.Udp, captured.Length - 20);
        Assert.Equal(captured, written);
    }

    // RFC 768: a computed checksum of 0 is sent as FFFF.
    [Fact]
    public void WriteUdp_ChecksumComputesToZero_IsAllOnes()
    {
        byte[] datagram = new byte[10];
        PacketWriter.WriteUdp(datagram, Captures.HostA4, Captures.HostB4, 1, 2);
        ushort checksum = (ushort)((datagram[6] << 8) | datagram[7]);
        datagram[8] = (byte)(checksum >> 8);
        datagram[9] = (byte)checksum;
        PacketWriter.WriteUdp(datagram, Captures.HostA4, Captures.HostB4, 1, 2);
        Assert.Equal([0xFF, 0xFF], datagram[6..8]);
        Assert.True(UdpDatagram.TryParse(datagram, out var view));
        Assert.True(view.HasValidChecksum(Captures.HostA4, Captures.HostB4));
    }

    [Fact]
    public void WriteIPv6_TrafficClass_StandsAcrossTheNibble()
    {
        byte[] header = new byte[40];
        PacketWriter.WriteIPv6(header, Captures.HostA6, Captures.HostB6, IpProtocol.Udp, 0, trafficClass: 0xB9, hopLimit: 3);
        Assert.True(IPv6Packet.TryParse(header, out var packet));
        Assert.Equal((0xB9, 0, 3), (packet.TrafficClass, packet.FlowLabel, packet.HopLimit));
        Assert.Equal(0x6B, header[0]);
    }
}
