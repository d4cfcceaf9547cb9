using CsCheck;
using Espalier.Ipsec.Spd;
using Espalier.Testing;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Ipsec.Tests.Spd;

// RFC 4301 §7.3, §7.4. Time is a number here; nothing waits.
[Collection(nameof(AllocationCollection))]
public sealed class FragmentPortsTests
{
    private const byte Udp = IpProtocol.Udp;
    private static readonly InternetAddress _a4 = InternetAddress.Parse("10.1.0.10");
    private static readonly InternetAddress _b4 = InternetAddress.Parse("10.2.0.10");
    private static readonly InternetAddress _a6 = InternetAddress.Parse("2001:db8:1::10");
    private static readonly InternetAddress _b6 = InternetAddress.Parse("2001:db8:2::10");

    [Fact]
    public void TryResolve_WholePacket_IsItsOwnFlow()
    {
        var table = new FragmentPorts();
        var packet = Whole(IpVersion.IPv4, Udp, 1000, 53);
        Assert.True(table.TryResolve(packet, 0, out var flow));
        Assert.Equal(new FlowKey(_a4, _b4, Udp, 1000, 53), flow);
        packet.PortsKnown = false;
        Assert.True(table.TryResolve(packet, 0, out flow));
        Assert.False(flow.PortsKnown);
        Assert.Equal((0, 0, 0), (table.Remembered, table.Evicted, table.Unknown));
    }

    [Theory]
    [InlineData(IpVersion.IPv4)]
    [InlineData(IpVersion.IPv6)]
    public void TryResolve_LaterFragment_HasTheFlowOfTheFirst(IpVersion version)
    {
        var table = new FragmentPorts();
        Assert.True(Accept(table, First(version, Udp, 7, 1000, 53), 5, out var first));
        Assert.Equal((1000, 53, true), (first.SourcePort, first.DestinationPort, first.PortsKnown));
        for (int i = 0; i < 3; i++)
        {
            Assert.True(table.TryResolve(Later(version, Udp, 7), 5 + i, out var later));
            Assert.Equal(first, later);
        }

        Assert.Equal((1, 0, 0), (table.Remembered, table.Evicted, table.Unknown));
    }

    [Fact]
    public void TryResolve_LaterFragmentWithoutFirst_HasNoPorts()
    {
        var table = new FragmentPorts();
        Assert.True(table.TryResolve(Later(IpVersion.IPv4, Udp, 7), 0, out var flow));
        Assert.Equal(new FlowKey(_a4, _b4, Udp, 0, 0, PortsKnown: false), flow);
        Assert.Equal(1, table.Unknown);
    }

    [Fact]
    public void TryResolve_OtherAddressesIdentificationOrProtocol_IsAnotherPacket()
    {
        var table = new FragmentPorts();
        Assert.True(Accept(table, First(IpVersion.IPv4, Udp, 7, 1000, 53), 0, out _));
        var otherId = Later(IpVersion.IPv4, Udp, 8);
        var otherProtocol = Later(IpVersion.IPv4, IpProtocol.Tcp, 7);
        var otherSource = Later(IpVersion.IPv4, Udp, 7);
        otherSource.Source = _b4;
        var otherDestination = Later(IpVersion.IPv4, Udp, 7);
        otherDestination.Destination = _a4;
        foreach (var packet in new[] { otherId, otherProtocol, otherSource, otherDestination })
        {
            Assert.True(table.TryResolve(packet, 0, out var flow));
            Assert.False(flow.PortsKnown);
        }

        Assert.Equal(4, table.Unknown);
    }

    // RFC 8200 §4.5: the next header of later fragments may differ and does not count.
    [Fact]
    public void TryResolve_IPv6LaterFragmentOfAnotherNextHeader_HasTheFirstOnes()
    {
        var table = new FragmentPorts();
        Assert.True(Accept(table, First(IpVersion.IPv6, Udp, 7, 1000, 53), 0, out var first));
        var claimsTcp = Later(IpVersion.IPv6, IpProtocol.Tcp, 7);
        Assert.True(table.TryResolve(claimsTcp, 0, out var flow));
        Assert.Equal(first, flow);
        var claimsOptions = Later(IpVersion.IPv6, IpProtocol.DestinationOptions, 7);
        claimsOptions.ProtocolKnown = false;
        Assert.True(table.TryResolve(claimsOptions, 0, out flow));
        Assert.Equal(first, flow);
    }

    [Fact]
    public void TryResolve_ProtocolUnknownAndFirstNotSeen_CannotBeDecided()
    {
        var table = new FragmentPorts();
        var packet = Later(IpVersion.IPv6, IpProtocol.DestinationOptions, 7);
        packet.ProtocolKnown = false;
        Assert.False(table.TryResolve(packet, 0, out var flow));
        Assert.False(flow.PortsKnown);
        Assert.Equal(1, table.Unknown);
    }

    // A first fragment that ends before its ports (RFC 1858 §3) must not hand on those of an earlier one.
    [Fact]
    public void TryResolve_TinyFirstFragment_LeavesLaterOnesWithoutPorts()
    {
        var table = new FragmentPorts();
        Assert.True(Accept(table, First(IpVersion.IPv4, Udp, 7, 1000, 53), 0, out _));
        var tiny = First(IpVersion.IPv4, Udp, 7, 0, 0);
        tiny.PortsKnown = false;
        Assert.True(Accept(table, tiny, 0, out var flow));
        Assert.False(flow.PortsKnown);
        Assert.True(table.TryResolve(Later(IpVersion.IPv4, Udp, 7), 0, out flow));
        Assert.False(flow.PortsKnown);
        Assert.Equal(0, table.Unknown);
    }

    [Fact]
    public void TryResolve_IdentificationComesRound_TheNewFirstFragmentCounts()
    {
        var table = new FragmentPorts();
        Assert.True(Accept(table, First(IpVersion.IPv4, Udp, 7, 1000, 53), 0, out _));
        Assert.True(Accept(table, First(IpVersion.IPv4, Udp, 7, 2000, 54), 1, out _));
        Assert.True(table.TryResolve(Later(IpVersion.IPv4, Udp, 7), 2, out var flow));
        Assert.Equal((2000, 54), (flow.SourcePort, flow.DestinationPort));
        Assert.Equal((2, 0), (table.Remembered, table.Evicted));
    }

    [Fact]
    public void TryResolve_EntryPastItsAge_IsForgotten()
    {
        var table = new FragmentPorts(capacity: 4, maximumAgeMilliseconds: 30_000);
        Assert.True(Accept(table, First(IpVersion.IPv4, Udp, 7, 1000, 53), 100, out _));
        Assert.True(table.TryResolve(Later(IpVersion.IPv4, Udp, 7), 30_099, out var flow));
        Assert.True(flow.PortsKnown);
        Assert.True(table.TryResolve(Later(IpVersion.IPv4, Udp, 7), 30_100, out flow));
        Assert.False(flow.PortsKnown);
        Assert.Equal(1, table.Unknown);
    }

    [Fact]
    public void TryResolve_BucketFull_TheOldestMakesRoom()
    {
        var table = new FragmentPorts(capacity: FragmentPorts.Ways);
        for (uint id = 0; id <= FragmentPorts.Ways; id++)
        {
            Assert.True(Accept(table, First(IpVersion.IPv6, Udp, id, (ushort)id, 53), id, out _));
        }

        Assert.Equal(1, table.Evicted);
        Assert.True(table.TryResolve(Later(IpVersion.IPv6, Udp, 0), 10, out var flow));
        Assert.False(flow.PortsKnown);
        for (uint id = 1; id <= FragmentPorts.Ways; id++)
        {
            Assert.True(table.TryResolve(Later(IpVersion.IPv6, Udp, id), 10, out flow));
            Assert.Equal((true, (ushort)id), (flow.PortsKnown, flow.SourcePort));
        }
    }

    [Fact]
    public void TryResolve_AgedEntries_MakeRoomUncounted()
    {
        var table = new FragmentPorts(capacity: FragmentPorts.Ways, maximumAgeMilliseconds: 10);
        for (uint id = 0; id < 100; id++)
        {
            Assert.True(Accept(table, First(IpVersion.IPv4, Udp, id, 1, 2), id * 10, out _));
        }

        Assert.Equal((100, 0), (table.Remembered, table.Evicted));
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(2, 1)]
    [InlineData(12, 1)]
    [InlineData(4, 0)]
    public void Constructor_BadSizes_AreRefused(int capacity, int age) =>
        Assert.ThrowsAny<ArgumentException>(() => new FragmentPorts(capacity, age));

    [Fact]
    public void TryResolve_AnyFlood_AllocatesNothing()
    {
        var table = new FragmentPorts(capacity: 64);
        Assert.True(table.TryResolve(Later(IpVersion.IPv6, Udp, 1), 0, out _));
        Assert.True(Accept(table, First(IpVersion.IPv6, Udp, 1, 1, 1), 0, out _));
        var first = First(IpVersion.IPv6, Udp, 0, 1, 1);
        var later = Later(IpVersion.IPv6, Udp, 0);
        uint i = 0;
        long allocated = Allocation.Least(() =>
        {
            for (uint end = i + 10_000; i < end; i++)
            {
                first.FragmentId = i;
                later.FragmentId = i / 2;
                table.Remember(first, i);
                table.TryResolve(first, i, out _);
                table.TryResolve(later, i, out _);
            }
        });

        Assert.Equal(0, allocated);
        Assert.Equal(1 + i, table.Remembered);
    }

    // The model remembers everything. The table may forget (a full bucket), but never says anything else than the model.
    [Fact]
    public void TryResolve_AnyFragments_NeverContradictAnUnboundedModel() =>
        Gen.Select(Gen.Bool, Gen.Bool, Gen.UInt[0, 30], Gen.UShort[1, 5], Gen.Int[0, 40]).Array[0, 200].Sample(steps =>
        {
            var table = new FragmentPorts(capacity: 16, maximumAgeMilliseconds: 500);
            var model = new Dictionary<(IpVersion, uint), (ushort Port, long Time)>();
            long now = 0;
            long forgotten = 0;
            foreach (var (isFirst, isIPv6, id, port, step) in steps)
            {
                now += step;
                var version = isIPv6 ? IpVersion.IPv6 : IpVersion.IPv4;
                var packet = isFirst ? First(version, Udp, id, port, 53) : Later(version, Udp, id);
                Assert.True(Accept(table, packet, now, out var flow));
                if (isFirst)
                {
                    model[(version, id)] = (port, now);
                    continue;
                }

                bool known = model.TryGetValue((version, id), out var entry) && now - entry.Time < 500;
                Assert.True(known || !flow.PortsKnown);
                Assert.True(!flow.PortsKnown || flow.SourcePort == entry.Port);
                forgotten += known && !flow.PortsKnown ? 1 : 0;
            }

            Assert.True(forgotten == 0 || table.Evicted > 0);
        });

    // A first fragment that was looked at and dropped leaves no trace.
    [Fact]
    public void TryResolve_FirstFragmentNotRemembered_ChangesNothing()
    {
        var table = new FragmentPorts();
        Assert.True(Accept(table, First(IpVersion.IPv4, Udp, 7, 1000, 53), 0, out var accepted));
        Assert.True(table.TryResolve(First(IpVersion.IPv4, Udp, 7, 2000, 25), 0, out var refused));
        Assert.Equal((2000, 25), (refused.SourcePort, refused.DestinationPort));
        Assert.True(table.TryResolve(Later(IpVersion.IPv4, Udp, 7), 0, out var later));
        Assert.Equal(accepted, later);
        Assert.Equal(1, table.Remembered);
    }

    [Fact]
    public void Remember_WholePacketOrLaterFragment_DoesNothing()
    {
        var table = new FragmentPorts();
        table.Remember(Whole(IpVersion.IPv4, Udp, 1000, 53), 0);
        table.Remember(Later(IpVersion.IPv4, Udp, 7), 0);
        Assert.Equal(0, table.Remembered);
    }

    private static bool Accept(FragmentPorts table, in PacketSummary packet, long now, out FlowKey flow)
    {
        bool resolved = table.TryResolve(packet, now, out flow);
        table.Remember(packet, now);
        return resolved;
    }

    private static PacketSummary Whole(IpVersion version, byte protocol, ushort sourcePort, ushort destinationPort) => new()
    {
        Version = version,
        Source = version == IpVersion.IPv6 ? _a6 : _a4,
        Destination = version == IpVersion.IPv6 ? _b6 : _b4,
        Protocol = protocol,
        ProtocolKnown = true,
        SourcePort = sourcePort,
        DestinationPort = destinationPort,
        PortsKnown = true,
    };

    private static PacketSummary First(IpVersion version, byte protocol, uint id, ushort sourcePort, ushort destinationPort) =>
        Whole(version, protocol, sourcePort, destinationPort) with { FragmentId = id, IsFragment = true, IsFirstFragment = true };

    private static PacketSummary Later(IpVersion version, byte protocol, uint id) =>
        Whole(version, protocol, 0, 0) with { FragmentId = id, IsFragment = true, PortsKnown = false };
}
