using CsCheck;
using Espalier.Wire.Addresses;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Icmp;

public sealed class QuotedEspPacketTests
{
    private const string Esp = "c0ffee01" + "00000102" + "a5a5a5a5";

    [Theory]
    [InlineData(IpVersion.IPv4, false)]
    [InlineData(IpVersion.IPv4, true)]
    [InlineData(IpVersion.IPv6, false)]
    [InlineData(IpVersion.IPv6, true)]
    public void TryParse_QuotedEsp_FindsTheSa(IpVersion version, bool inUdp)
    {
        byte[] packet = Quote(version, inUdp, Esp, totalPayload: 1400);
        Assert.True(QuotedEspPacket.TryParse(packet, out var quoted));
        var (source, destination) = version == IpVersion.IPv6 ? (Captures.HostA6, Captures.HostB6) : (Captures.HostA4, Captures.HostB4);
        ushort port = (ushort)(inUdp ? 4500 : 0);
        Assert.Equal(new QuotedEspPacket(source, destination, port, (ushort)(inUdp ? 4501 : 0), 0xC0FFEE01, 0x102), quoted);
    }

    // RFC 792: an error quotes at least the IP header and 8 bytes: SPI and sequence number of protocol 50, only the header of UDP.
    [Fact]
    public void TryParse_EightBytesQuoted_IsEnoughForProtocol50Only()
    {
        Assert.True(QuotedEspPacket.TryParse(Quote(IpVersion.IPv4, false, Esp, 1400).AsSpan(0, 28), out var quoted));
        Assert.Equal((0xC0FFEE01u, 0x102u), (quoted.Spi, quoted.Sequence));
        Assert.False(QuotedEspPacket.TryParse(Quote(IpVersion.IPv4, true, Esp, 1400).AsSpan(0, 28), out _));
    }

    [Fact]
    public void TryParse_QuoteEndsBehindSpi_HasNoSequence()
    {
        Assert.True(QuotedEspPacket.TryParse(Quote(IpVersion.IPv4, true, Esp, 1400).AsSpan(0, 32), out var quoted));
        Assert.Equal(0xC0FFEE01u, quoted.Spi);
        Assert.Null(quoted.Sequence);
        Assert.False(QuotedEspPacket.TryParse(Quote(IpVersion.IPv4, true, Esp, 1400).AsSpan(0, 31), out _));
    }

    // RFC 3948 §2.2: four zero bytes mark IKE.
    [Fact]
    public void TryParse_QuotedIke_IsNone() => Assert.False(QuotedEspPacket.TryParse(Quote(IpVersion.IPv4, true, "0000000011223344", 100), out _));

    [Fact]
    public void TryParse_QuotedOther_IsNone()
    {
        Assert.False(QuotedEspPacket.TryParse(Captures.TcpSyn, out _));
        Assert.False(QuotedEspPacket.TryParse(Captures.EchoRequest6, out _));
        Assert.False(QuotedEspPacket.TryParse([], out _));
        Assert.False(QuotedEspPacket.TryParse([0x50], out _));
    }

    [Fact]
    public void TryParse_QuotedFragments_OnlyTheFirst()
    {
        byte[] packet = Quote(IpVersion.IPv4, false, Esp, 1400);
        packet[6] = 0x20;
        Assert.True(QuotedEspPacket.TryParse(packet, out _));
        packet[7] = 1;
        Assert.False(QuotedEspPacket.TryParse(packet, out _));

        byte[] six = new byte[60];
        PacketWriter.WriteIPv6(six, Captures.HostA6, Captures.HostB6, IpProtocol.Fragment, 1240);
        Captures.Hex("3200000100000007" + Esp).CopyTo(six, 40);
        Assert.True(QuotedEspPacket.TryParse(six, out var quoted));
        Assert.Equal(0xC0FFEE01u, quoted.Spi);
        six[43] = 9;
        Assert.False(QuotedEspPacket.TryParse(six, out _));
    }

    [Theory]
    [InlineData("c0ffee01", true, false)]
    [InlineData("c0ffee01000001", true, false)]
    [InlineData("c0ffee0100000102", true, true)]
    [InlineData("c0ffee", false, false)]
    [InlineData("", false, false)]
    [InlineData("0000000000000102", false, false)]
    [InlineData("ff", false, false)]
    public void TryParseEsp_BytesOfErrorQueue_GiveSpiAndSequence(string hex, bool parsed, bool hasSequence)
    {
        Assert.Equal(parsed, QuotedEspPacket.TryParseEsp(Captures.Hex(hex), out var quoted));
        Assert.Equal(hasSequence, parsed && quoted.Sequence == 0x102);
    }

    [Fact]
    public void TryParse_RandomBytes_NeverThrows() =>
        Gen.Select(Gen.Byte.Array[0, 80], Gen.OneOf<byte>(0x45, 0x4F, 0x60), Gen.OneOf<byte>(17, 50, 0, 44, 60)).Sample((bytes, first, protocol) =>
        {
            if (bytes.Length > 9)
            {
                bytes[0] = first;
                bytes[first == 0x60 ? 6 : 9] = protocol;
            }

            Assert.True(!QuotedEspPacket.TryParse(bytes, out var quoted) || quoted.Spi != 0);
        });

    // The IP header says totalPayload, the quote holds only the start of it.
    private static byte[] Quote(IpVersion version, bool inUdp, string payload, int totalPayload)
    {
        byte[] upper = Captures.Hex((inUdp ? "1194119500000000" : "") + payload);
        byte[] packet = new byte[60 + upper.Length];
        byte protocol = inUdp ? IpProtocol.Udp : IpProtocol.Esp;
        int length = version == IpVersion.IPv6
            ? PacketWriter.WriteIPv6(packet, Captures.HostA6, Captures.HostB6, protocol, totalPayload)
            : PacketWriter.WriteIPv4(packet, Captures.HostA4, Captures.HostB4, protocol, totalPayload, 7, 0);
        upper.CopyTo(packet, length);
        return packet[..(length + upper.Length)];
    }
}
