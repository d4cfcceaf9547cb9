using CsCheck;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Checksums;

public sealed class InternetChecksumTests
{
    // RFC 1071 §3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
    [Fact]
    public void Fold_ExampleOfRfc1071_IsItsSum() =>
        Assert.Equal(0xDDF2, InternetChecksum.Fold(InternetChecksum.Sum([0x00, 0x01, 0xF2, 0x03, 0xF4, 0xF5, 0xF6, 0xF7])));

    // RFC 1624 §4: HC = DD2F, m = 5555, m' = 3285 gives 0000 and not FFFF.
    [Fact]
    public void Update_ExampleOfRfc1624_IsZero() => Assert.Equal(0x0000, InternetChecksum.Update(0xDD2F, 0x5555, 0x3285));

    [Fact]
    public void Compute_NoData_IsAllOnes() => Assert.Equal(0xFFFF, InternetChecksum.Compute([]));

    [Fact]
    public void Compute_AnyBytes_EqualsNaive() =>
        Gen.Byte.Array[0, 2100].Sample(data => Assert.Equal(NaiveChecksum.Of(data), InternetChecksum.Compute(data)));

    [Fact]
    public void Compute_AllOnes_EqualsNaive()
    {
        // The largest sum: every carry there is.
        for (int length = 0; length <= 70; length++)
        {
            byte[] data = Enumerable.Repeat((byte)0xFF, length).ToArray();
            Assert.Equal(NaiveChecksum.Of(data), InternetChecksum.Compute(data));
        }

        byte[] large = Enumerable.Repeat((byte)0xFF, 1 << 17).ToArray();
        Assert.Equal(NaiveChecksum.Of(large), InternetChecksum.Compute(large));
    }

    [Fact]
    public void Sum_EvenPieces_EqualsWhole() =>
        Gen.Select(Gen.Byte.Array[0, 300], Gen.Int[0, 150]).Sample((data, at) =>
        {
            int cut = Math.Min(at * 2, data.Length & ~1);
            ulong sum = InternetChecksum.Sum(data.AsSpan(cut), InternetChecksum.Sum(data.AsSpan(0, cut)));
            Assert.Equal(NaiveChecksum.Of(data), InternetChecksum.Finish(sum));
        });

    [Fact]
    public void Sum_UnalignedSpan_EqualsNaive() =>
        Gen.Select(Gen.Byte.Array[16, 200], Gen.Int[0, 15]).Sample((data, at) =>
            Assert.Equal(NaiveChecksum.Of(data.AsSpan(at)), InternetChecksum.Compute(data.AsSpan(at))));

    [Fact]
    public void Update_AnyWordChanged_EqualsRecomputed() =>
        Gen.Select(Gen.Byte.Array[20, 60], Gen.UShort, Gen.Int[0, 9]).Sample((data, word, index) =>
        {
            // Byte 0 of a header is never 0, so the sum of the rest is not 0 and both forms agree.
            data[^2] |= 0x45;
            int at = index * 2;
            ushort before = NaiveChecksum.Of(data);
            ushort old = (ushort)((data[at] << 8) | data[at + 1]);
            data[at] = (byte)(word >> 8);
            data[at + 1] = (byte)word;
            data[^2] |= 0x45;
            if (at + 2 > data.Length - 2)
            {
                return;
            }

            Assert.Equal(NaiveChecksum.Of(data), InternetChecksum.Update(before, old, word));
        });

    [Fact]
    public void SumPseudoHeader_AnyAddresses_EqualsNaiveOverLaidOutHeader() =>
        Gen.Select(Gen.Byte.Array[32, 32], Gen.Byte, Gen.Int[0, 65535], Gen.Bool).Sample((addresses, protocol, length, isIPv6) =>
        {
            var version = isIPv6 ? IpVersion.IPv6 : IpVersion.IPv4;
            int size = isIPv6 ? 16 : 4;
            byte[] header = isIPv6
                ? [.. addresses, 0, 0, (byte)(length >> 8), (byte)length, 0, 0, 0, protocol]
                : [.. addresses[..8], 0, protocol, (byte)(length >> 8), (byte)length];
            ulong sum = InternetChecksum.SumPseudoHeader(
                InternetAddress.Read(version, addresses), InternetAddress.Read(version, addresses.AsSpan(size)), protocol, length);
            Assert.Equal(NaiveChecksum.Of(header), InternetChecksum.Finish(sum));
        });

    [Fact]
    public void IsValid_CapturedHeaders_AreValidUntilABitFlips()
    {
        byte[] packet = Captures.TcpSyn;
        Assert.True(InternetChecksum.IsValid(packet.AsSpan(0, 20)));
        for (int bit = 0; bit < 160; bit++)
        {
            packet[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(InternetChecksum.IsValid(packet.AsSpan(0, 20)));
            packet[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void HasValidChecksum_CapturedUpperLayers_AreValid()
    {
        Assert.True(IPv4Packet.TryParse(Captures.TcpSyn, out var tcp));
        Assert.True(TcpSegment.TryParse(tcp.Payload, out var segment));
        Assert.True(segment.HasValidChecksum(tcp.Source, tcp.Destination));
        Assert.False(segment.HasValidChecksum(tcp.Source, tcp.Source));

        Assert.True(IPv4Packet.TryParse(Captures.TooBig4, out var udp4));
        Assert.True(UdpDatagram.TryParse(udp4.Payload, out var datagram4));
        Assert.True(datagram4.HasValidChecksum(udp4.Source, udp4.Destination));

        Assert.True(IPv6Packet.TryParse(Captures.TooBig6, out var udp6));
        Assert.True(UdpDatagram.TryParse(udp6.Payload, out var datagram6));
        Assert.True(datagram6.HasValidChecksum(udp6.Source, udp6.Destination));

        Assert.True(IPv6Packet.TryParse(Captures.EchoRequest6, out var echo));
        Assert.True(IcmpMessage.TryParse(echo.Payload, out var message));
        Assert.True(message.HasValidChecksumFor(echo.Source, echo.Destination));
    }
}
