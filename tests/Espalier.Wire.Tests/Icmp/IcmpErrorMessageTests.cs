using Espalier.Wire.Checksums;
using Espalier.Wire.Icmp;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Icmp;

public sealed class IcmpErrorMessageTests
{
    private readonly byte[] _message = new byte[IcmpErrorMessage.MaximumLength];

    [Fact]
    public void WriteFragmentationNeeded_CapturedPacket_GivesTheKernelsMessage()
    {
        int length = IcmpErrorMessage.WriteFragmentationNeeded(_message, Captures.TooBig4, 1280);
        Assert.Equal(Captures.FragmentationNeeded[20..], _message[..length]);
    }

    [Fact]
    public void WritePacketTooBig_CapturedPacket_GivesTheKernelsMessage()
    {
        int length = IcmpErrorMessage.WritePacketTooBig(_message, Captures.TooBig6, 1280);
        IcmpErrorMessage.WriteIPv6Checksum(_message.AsSpan(0, length), Captures.Router6, Captures.HostA6);
        Assert.Equal(Captures.PacketTooBig[40..], _message[..length]);
    }

    // A raw ICMPv6 socket fills the checksum in (RFC 3542 §3.1).
    [Fact]
    public void WritePacketTooBig_BeforeTheSocket_HasChecksumZero()
    {
        _message.AsSpan().Fill(0xEE);
        IcmpErrorMessage.WritePacketTooBig(_message, Captures.TooBig6, 1400);
        Assert.Equal([2, 0, 0, 0, 0, 0, 0x05, 0x78], _message[..8]);
    }

    [Fact]
    public void WriteFragmentationNeeded_ShortPacket_QuotesAllOfIt()
    {
        int length = IcmpErrorMessage.WriteFragmentationNeeded(_message, Captures.TcpSyn, 1000);
        Assert.Equal(68, length);
        Assert.Equal(Captures.TcpSyn, _message[8..length]);
        Assert.True(InternetChecksum.IsValid(_message.AsSpan(0, length)));
    }

    [Theory]
    [InlineData(1447, 548)]
    [InlineData(548, 548)]
    [InlineData(547, 547)]
    public void WriteFragmentationNeeded_Quote_KeepsTheErrorWithin576(int packetLength, int quoted)
    {
        int length = IcmpErrorMessage.WriteFragmentationNeeded(_message, new byte[packetLength], 1000);
        Assert.Equal(8 + quoted, length);
        Assert.True(length + 20 <= 576);
    }

    [Theory]
    [InlineData(9000, 1232)]
    [InlineData(1232, 1232)]
    [InlineData(1231, 1231)]
    public void WritePacketTooBig_Quote_KeepsTheErrorWithin1280(int packetLength, int quoted)
    {
        int length = IcmpErrorMessage.WritePacketTooBig(_message, new byte[packetLength], 1300);
        Assert.Equal(8 + quoted, length);
        Assert.True(length + 40 <= 1280);
    }

    [Theory]
    [InlineData(1438, 1438)]
    [InlineData(70_000, 65_535)]
    [InlineData(0, 68)]
    [InlineData(-1, 68)]
    public void WriteFragmentationNeeded_Mtu_StaysInItsField(int mtu, int written)
    {
        int length = IcmpErrorMessage.WriteFragmentationNeeded(_message, Captures.TooBig4, mtu);
        Assert.True(IcmpMessage.TryParse(_message.AsSpan(0, length), out var message));
        Assert.Equal(written, message.NextHopMtu);
    }

    // RFC 8201 §4: no node goes below 1,280.
    [Theory]
    [InlineData(1438, 1438u)]
    [InlineData(1279, 1280u)]
    [InlineData(70_000, 70_000u)]
    [InlineData(-1, 1280u)]
    public void WritePacketTooBig_Mtu_IsAtLeast1280(int mtu, uint written)
    {
        int length = IcmpErrorMessage.WritePacketTooBig(_message, Captures.TooBig6, mtu);
        Assert.True(IcmpMessage.TryParse(_message.AsSpan(0, length), out var message));
        Assert.Equal(written, message.PacketTooBigMtu);
    }
}
