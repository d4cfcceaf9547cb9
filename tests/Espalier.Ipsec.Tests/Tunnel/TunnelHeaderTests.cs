using CsCheck;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Tunnel;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Wire.Checksums;
using Espalier.Wire.Packets;

namespace Espalier.Ipsec.Tests.Tunnel;

[Collection(nameof(AllocationCollection))]
public sealed class TunnelHeaderTests
{
    private const SaFlags NoEcn = SaFlags.NoEcn;
    private const SaFlags DecapDscp = SaFlags.DecapDscp;

    // RFC 6040 §4.1, figure 3 (normal mode copies; compatibility mode gives Not-ECT), and RFC 4301 §5.1.2 for DSCP.
    [Theory]
    [InlineData(0x00, SaFlags.None, SaExtraFlags.None, 0x00)]
    [InlineData(0x01, SaFlags.None, SaExtraFlags.None, 0x01)]
    [InlineData(0x02, SaFlags.None, SaExtraFlags.None, 0x02)]
    [InlineData(0x03, SaFlags.None, SaExtraFlags.None, 0x03)]
    [InlineData(0xBB, SaFlags.None, SaExtraFlags.None, 0xBB)]
    [InlineData(0xBB, SaFlags.NoEcn, SaExtraFlags.None, 0xB8)]
    [InlineData(0xBB, SaFlags.None, SaExtraFlags.DontEncapsulateDscp, 0x03)]
    [InlineData(0xBB, SaFlags.NoEcn, SaExtraFlags.DontEncapsulateDscp, 0x00)]
    [InlineData(0xFE, SaFlags.DecapDscp | SaFlags.NoPmtuDiscovery | SaFlags.Esn, SaExtraFlags.OutboundSequenceMayWrap, 0xFE)]
    public void OuterTrafficClass_InnerAndFlags_GiveOuter(byte inner, SaFlags flags, SaExtraFlags extraFlags, byte outer) =>
        Assert.Equal(outer, TunnelHeader.OuterTrafficClass(inner, flags, extraFlags));

    // RFC 4301 §8.1.
    [Theory]
    [InlineData(false, SaFlags.None, false)]
    [InlineData(true, SaFlags.None, true)]
    [InlineData(false, SaFlags.NoPmtuDiscovery, false)]
    [InlineData(true, SaFlags.NoPmtuDiscovery, false)]
    public void OuterDontFragment_InnerAndFlags_GiveOuter(bool inner, SaFlags flags, bool outer) =>
        Assert.Equal(outer, TunnelHeader.OuterDontFragment(inner, flags));

    // RFC 6040 §4.2, figure 4, new IP in IP decapsulation behaviour:
    //
    //    +---------+------------------------------------------------+
    //    |Arriving |            Arriving Outer Header               |
    //    |   Inner +---------+------------+------------+------------+
    //    |  Header | Not-ECT | ECT(0)     | ECT(1)     |     CE     |
    //    +---------+---------+------------+------------+------------+
    //    | Not-ECT | Not-ECT |Not-ECT(!!!)|Not-ECT(!!!)| <drop>(!!!)|
    //    |  ECT(0) |  ECT(0) | ECT(0)     | ECT(1)     |     CE     |
    //    |  ECT(1) |  ECT(1) | ECT(1) (!) | ECT(1)     |     CE     |
    //    |    CE   |      CE |     CE     |     CE(!!!)|     CE     |
    //    +---------+---------+------------+------------+------------+
    private const string Figure4 =
        """
        Not-ECT | Not-ECT | Not-ECT(!!!) | Not-ECT(!!!) | <drop>(!!!)
        ECT(0)  | ECT(0)  | ECT(0)       | ECT(1)       | CE
        ECT(1)  | ECT(1)  | ECT(1) (!)   | ECT(1)       | CE
        CE      | CE      | CE           | CE(!!!)      | CE
        """;

    public static TheoryData<IpVersion, byte, byte, string> Combinations()
    {
        var data = new TheoryData<IpVersion, byte, byte, string>();
        string[] outerColumns = ["Not-ECT", "ECT(0)", "ECT(1)", "CE"];
        foreach (string row in Figure4.Split('\n'))
        {
            string[] cells = row.Split('|', StringSplitOptions.TrimEntries);
            for (int column = 0; column < outerColumns.Length; column++)
            {
                data.Add(IpVersion.IPv4, CodepointOf(cells[0]), CodepointOf(outerColumns[column]), cells[column + 1]);
                data.Add(IpVersion.IPv6, CodepointOf(cells[0]), CodepointOf(outerColumns[column]), cells[column + 1]);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void TryDecapsulate_EveryCombination_IsAsFigure4Says(IpVersion version, byte inner, byte outer, string cell)
    {
        byte[] packet = Packet(version, (byte)(0xB8 | inner));
        byte[] before = [.. packet];
        bool forwarded = TunnelHeader.TryDecapsulate(packet, (byte)(0x50 | outer), SaFlags.None, out var alert);

        Assert.Equal(AlertOf(cell), alert);
        Assert.Equal(!cell.StartsWith("<drop>", StringComparison.Ordinal), forwarded);
        if (!forwarded)
        {
            Assert.Equal(before, packet);
            return;
        }

        byte[] expected = Packet(version, (byte)(0xB8 | CodepointOf(cell.Replace("(!!!)", "", StringComparison.Ordinal).Replace("(!)", "", StringComparison.Ordinal).Trim())));
        Assert.Equal(expected, packet);
    }

    // RFC 4301 §5.1.2.1: the inner DSCP does not change; decap-dscp takes the outer one. ECN goes by its own rule.
    [Theory]
    [InlineData(IpVersion.IPv4)]
    [InlineData(IpVersion.IPv6)]
    public void TryDecapsulate_Flags_SayWhatIsCarried(IpVersion version)
    {
        Assert.Equal(0xBB, Decapsulated(version, inner: 0xBA, outer: 0x4B, SaFlags.None));
        Assert.Equal(0x4B, Decapsulated(version, inner: 0xBA, outer: 0x4B, DecapDscp));
        Assert.Equal(0xBA, Decapsulated(version, inner: 0xBA, outer: 0x4B, NoEcn));
        Assert.Equal(0x4A, Decapsulated(version, inner: 0xBA, outer: 0x4B, NoEcn | DecapDscp));
        Assert.Equal(0x01, Decapsulated(version, inner: 0xFE, outer: 0x01, DecapDscp));
    }

    // noecn leaves the inner field alone, so nothing is forbidden and nothing is counted.
    [Fact]
    public void TryDecapsulate_NoEcnAndForbiddenCombination_IsForwarded()
    {
        byte[] packet = Packet(IpVersion.IPv4, 0x00);
        Assert.True(TunnelHeader.TryDecapsulate(packet, 0x03, NoEcn, out var alert));
        Assert.Equal(EcnAlert.None, alert);
        Assert.Equal(Packet(IpVersion.IPv4, 0x00), packet);
    }

    [Fact]
    public void TryDecapsulate_ForbiddenCombinationWithDecapDscp_ChangesNothing()
    {
        byte[] packet = Packet(IpVersion.IPv4, 0xB8);
        Assert.False(TunnelHeader.TryDecapsulate(packet, 0x03, DecapDscp, out _));
        Assert.Equal(Packet(IpVersion.IPv4, 0xB8), packet);
    }

    [Fact]
    public void WriteTrafficClass_AnyPackets_EqualOnesWrittenSo() =>
        Gen.Select(Gen.Bool, Gen.Byte, Gen.Byte).Sample((isIPv6, before, after) =>
        {
            var version = isIPv6 ? IpVersion.IPv6 : IpVersion.IPv4;
            byte[] packet = Packet(version, before);
            TunnelHeader.WriteTrafficClass(packet, after);
            Assert.Equal(Packet(version, after), packet);
            Assert.Equal(after, TunnelHeader.ReadTrafficClass(packet));
        });

    [Fact]
    public void WriteTrafficClass_IPv6_LeavesVersionAndFlowLabel()
    {
        byte[] packet = Packet(IpVersion.IPv6, 0);
        packet[1] = 0x0A;
        packet[2] = 0xBC;
        packet[3] = 0xDE;
        TunnelHeader.WriteTrafficClass(packet, 0xFF);
        Assert.Equal([0x6F, 0xFA, 0xBC, 0xDE], packet[..4]);
    }

    // A wrong checksum must not be made right: the inner receiver still has to see it.
    [Fact]
    public void TryDecapsulate_WrongChecksum_StaysWrong()
    {
        byte[] packet = Packet(IpVersion.IPv4, 0x02);
        packet[10] ^= 0x40;
        Assert.True(TunnelHeader.TryDecapsulate(packet, 0x03, SaFlags.None, out _));
        Assert.Equal(0x03, packet[1]);
        Assert.False(InternetChecksum.IsValid(packet.AsSpan(0, 20)));
    }

    [Fact]
    public void TryDecapsulate_Packets_AllocateNothing()
    {
        byte[] packet = Packet(IpVersion.IPv4, 0x02);
        TunnelHeader.TryDecapsulate(packet, 0x03, SaFlags.None, out _);
        long allocated = Allocation.Least(() =>
        {
            for (int i = 0; i < 10_000; i++)
            {
                TunnelHeader.TryDecapsulate(packet, (byte)i, DecapDscp, out _);
            }
        });

        Assert.Equal(0, allocated);
    }

    private static byte Decapsulated(IpVersion version, byte inner, byte outer, SaFlags flags)
    {
        byte[] packet = Packet(version, inner);
        Assert.True(TunnelHeader.TryDecapsulate(packet, outer, flags, out _));
        byte result = TunnelHeader.ReadTrafficClass(packet);
        Assert.Equal(Packet(version, result), packet);
        return result;
    }

    private static byte[] Packet(IpVersion version, byte trafficClass)
    {
        var (source, destination) = version == IpVersion.IPv6 ? ("2001:db8::1", "2001:db8::2") : ("192.0.2.1", "198.51.100.2");
        byte[] packet = new byte[48];
        int length = PacketWriter.WriteIp(packet, InternetAddress.Parse(source), InternetAddress.Parse(destination), 59, 8, trafficClass);
        return packet[..(length + 8)];
    }

    private static byte CodepointOf(string name) => name switch
    {
        "Not-ECT" => 0b00,
        "ECT(1)" => 0b01,
        "ECT(0)" => 0b10,
        "CE" => 0b11,
        _ => throw new ArgumentException(name, nameof(name)),
    };

    private static EcnAlert AlertOf(string cell) =>
        cell.EndsWith("(!!!)", StringComparison.Ordinal) ? EcnAlert.AlwaysDangerous
        : cell.EndsWith("(!)", StringComparison.Ordinal) ? EcnAlert.PossiblyDangerous
        : EcnAlert.None;
}
