using CsCheck;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Wire.Tests.Packets;

public sealed class FlowParserTests
{
    private static readonly byte[][] Seeds =
    [
        Captures.TcpSyn, Captures.UdpBehindOptions6, Captures.EchoRequest4, Captures.EchoRequest6, Captures.FragmentationNeeded,
        .. Captures.LargeFragments, .. Captures.Fragments6, Udp4(), Udp6(),
    ];

    // Any packet as it is, or the one before with some bytes changed, cut off or with bytes behind it.
    private static readonly Gen<Step> AnyStep = Gen.Select(
        Gen.Int[0, (Seeds.Length * 3) - 1], Gen.Select(Gen.Int[0, 47], Gen.Byte).Array[0, 2], Gen.Int[-50, 10],
        static (seed, changes, growth) => new Step(seed, changes, growth));

    [Fact]
    public void TryParse_AnySequenceOfPackets_IsAsIfEachWereReadAlone() => AnyStep.Array[1, 30].Sample(
        static steps =>
        {
            var parser = new FlowParser();
            byte[] packet = Seeds[0];
            (bool Parsed, PacketSummary Summary) before = default;
            foreach (var step in steps)
            {
                packet = step.After(packet);
                bool parsed = InnerPacketParser.TryParse(packet, out var expected);

                Assert.Equal(parsed, parser.TryParse(packet));
                if (parsed)
                {
                    Assert.Equal(expected, parser.Summary);
                }

                Assert.False(parser.IsSameFlow && !(before.Parsed && parsed));
                if (parser.IsSameFlow)
                {
                    Assert.Equal(FlowOf(before.Summary), FlowOf(expected));
                    Assert.False(expected.IsFragment);
                }

                before = (parsed, expected);
            }
        },
        iter: 20_000);

    public static TheoryData<int> Versions { get; } = [4, 6];

    [Theory]
    [MemberData(nameof(Versions))]
    public void TryParse_SegmentsInARow_AreOneFlow(int version)
    {
        var parser = new FlowParser();
        byte[] packet = version == 4 ? Udp4() : Udp6();

        Assert.True(parser.TryParse(packet));
        Assert.False(parser.IsSameFlow);
        Assert.True(parser.TryParse([.. packet, 0, 0, 0]));
        Assert.True(parser.IsSameFlow);

        packet[version == 4 ? 1 : 0] |= 3;
        packet[version == 4 ? 8 : 7] = 9;
        packet[version == 4 ? 3 : 5]--;
        Assert.True(parser.TryParse(packet));
        Assert.True(parser.IsSameFlow);
        Assert.Equal((packet.Length - 1, 9), (parser.Summary.TotalLength, parser.Summary.TimeToLive));
        Assert.Equal(version == 4 ? 3 : 0x30, parser.Summary.TrafficClass);
    }

    // One changed bit of what makes a flow, or that makes a fragment or options of it.
    [Theory]
    [InlineData(4, 0, 0x03)]
    [InlineData(4, 6, 0x20)]
    [InlineData(4, 7, 0x01)]
    [InlineData(4, 9, 0x80)]
    [InlineData(4, 12, 0x01)]
    [InlineData(4, 15, 0x01)]
    [InlineData(4, 19, 0x80)]
    [InlineData(4, 20, 0x01)]
    [InlineData(4, 23, 0x01)]
    [InlineData(6, 6, 0x80)]
    [InlineData(6, 8, 0x01)]
    [InlineData(6, 16, 0x01)]
    [InlineData(6, 24, 0x01)]
    [InlineData(6, 39, 0x01)]
    [InlineData(6, 40, 0x01)]
    [InlineData(6, 43, 0x01)]
    public void TryParse_FlowChanged_IsAnother(int version, int offset, byte bits)
    {
        var parser = new FlowParser();
        byte[] packet = version == 4 ? Udp4() : Udp6();
        Assert.True(parser.TryParse(packet));

        packet[offset] ^= bits;

        parser.TryParse(packet);
        Assert.False(parser.IsSameFlow);
    }

    [Fact]
    public void TryParse_FragmentsInARow_AreNotOneFlow()
    {
        var parser = new FlowParser();
        foreach (byte[] fragment in Captures.LargeFragments.Concat(Captures.LargeFragments).Concat(Captures.Fragments6).Concat(Captures.Fragments6))
        {
            Assert.True(parser.TryParse(fragment));
            Assert.False(parser.IsSameFlow);
        }
    }

    private static (InternetAddress, InternetAddress, byte, ushort, ushort, bool, bool) FlowOf(in PacketSummary summary) =>
        (summary.Source, summary.Destination, summary.Protocol, summary.SourcePort, summary.DestinationPort, summary.PortsKnown, summary.ProtocolKnown);

    // 192.0.2.1:4660 to 198.51.100.2:9, twelve bytes (addresses of RFC 5737).
    private static byte[] Udp4() => Convert.FromHexString("450000280001400040110000C0000201C63364021234000900140000" + "0102030405060708090A0B0C");

    // [2001:db8::1]:4660 to [2001:db8::2]:9, twelve bytes (addresses of RFC 3849).
    private static byte[] Udp6() => Convert.FromHexString(
        "6000000000141140" + "20010DB8000000000000000000000001" + "20010DB8000000000000000000000002" + "1234000900140000" + "0102030405060708090A0B0C");

    private sealed record Step(int Seed, (int Offset, byte Value)[] Changes, int Growth)
    {
        public byte[] After(byte[] previous)
        {
            byte[] packet = [.. Seed < Seeds.Length ? Seeds[Seed] : previous];
            foreach (var (offset, value) in Changes.Where(change => change.Offset < packet.Length))
            {
                packet[offset] = value;
            }

            return Growth > 0 ? [.. packet, .. new byte[Growth]] : Growth < -40 ? packet[..Math.Max(0, packet.Length + Growth + 40)] : packet;
        }
    }
}
