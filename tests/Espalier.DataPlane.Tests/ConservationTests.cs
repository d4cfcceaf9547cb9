using CsCheck;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec.Spd;

namespace Espalier.DataPlane.Tests;

/// <summary>Whatever comes in, each packet goes on or is dropped under exactly one reason; nothing is thrown, lost or made up.</summary>
public sealed class ConservationTests
{
    private static readonly string[] NearHosts = ["10.1.0.1", "10.1.7.7", "fd01::1", "10.66.0.1", "0.0.0.0", "fe80::1"];
    private static readonly string[] FarHosts = ["10.2.0.1", "10.2.9.9", "fd02::1", "10.77.0.1", "224.0.0.9", "255.255.255.255", "ff02::1"];

    private static readonly Gen<byte[]> Honest =
        from near in Gen.Int[0, NearHosts.Length - 1].Select(i => NearHosts[i])
        from far in Gen.Int[0, FarHosts.Length - 1].Select(i => FarHosts[i])
        from size in Gen.OneOf(Gen.Int[0, 64], Gen.Int[1200, 1500], Gen.Int[1500, 9000])
        from dontFragment in Gen.Bool
        from port in Gen.UShort[50, 60]
        where near.Contains(':', StringComparison.Ordinal) == far.Contains(':', StringComparison.Ordinal)
        select Packets.Udp(near, far, size, destinationPort: port, dontFragment: dontFragment);

    private static readonly Gen<byte[]> Any = Gen.Frequency(
        (6, Honest),
        (1, Gen.Byte.Array[0, 200]),
        (3, Gen.Select(Honest, Gen.Int[0, 63], Gen.Byte).Select((packet, at, value) =>
        {
            packet[at % packet.Length] = value;
            return packet;
        })),
        (1, Gen.Select(Honest, Gen.Int[0, 100]).Select((packet, length) => packet[..Math.Min(length, packet.Length)])));

    private static Pair Create()
    {
        var pair = new Pair(queueLength: 1024);
        foreach (var (port, action) in new[] { ((ushort)53, PolicyAction.Block), ((ushort)55, PolicyAction.Allow) })
        {
            Pair.AddPolicy(pair.Left, Pair.Policy(
                "10.1.0.0/16", "10.2.0.0/16", PolicyDirection.Out, action: action, priority: 1, protocol: 17, destinationPort: port));
        }

        return pair;
    }

    private static void CheckOutbound(TestHost host)
    {
        var now = host.OutboundCounters;
        long drops = Enum.GetValues<Ipsec.DropReason>().Where(reason => reason < Ipsec.DropReason.Count).Sum(now.Read);
        Assert.Equal(
            now.Read(TrafficCounter.TunPacketsRead) - now.Read(TrafficCounter.FragmentedPackets) + now.Read(TrafficCounter.FragmentsCreated),
            now.Read(TrafficCounter.OutboundPackets) + now.Read(TrafficCounter.BypassedPackets) + drops);
        Assert.Equal(now.Read(TrafficCounter.OutboundPackets), host.Network.SentCount);
        Assert.Equal(now.Read(TrafficCounter.BypassedPackets), host.Bypass.Sent.Count);
        Assert.Equal(now.Read(TrafficCounter.IcmpErrorsSent), host.Icmp.Sent.Count);
        Assert.Equal(
            now.Read(Ipsec.DropReason.OutboundTooBig), now.Read(TrafficCounter.IcmpErrorsSent) + now.Read(TrafficCounter.IcmpErrorsWithheld));
    }

    private static void CheckInbound(TestHost host)
    {
        var now = host.InboundCounters;
        long drops = Enum.GetValues<Ipsec.DropReason>().Where(reason => reason < Ipsec.DropReason.Count).Sum(now.Read);
        Assert.Equal(
            now.Read(TrafficCounter.OuterPacketsRead), now.Read(TrafficCounter.InboundPackets) + now.Read(TrafficCounter.Keepalives) + drops);
        Assert.Equal(now.Read(TrafficCounter.InboundPackets), host.Tunnel.WrittenCount);
    }

    [Fact]
    public void Outbound_AnyPackets_EachIsSentOrDroppedOnce() => Any.Array[0, 80].Sample(
        packets =>
        {
            using var pair = Create();
            pair.LeftToRightRun(packets);
            CheckOutbound(pair.Left);
            CheckInbound(pair.Right);

            // What Left protected is valid, so Right delivers all of it: in and fwd policies mirror the out policies.
            Assert.Equal(0, pair.Right.Counters.Snapshot().TotalDrops);
            return true;
        },
        iter: 300);

    [Fact]
    public void Inbound_AnyDatagrams_OnlyAuthenticOnesDeliveredOnce() =>
        Gen.Select(Honest.Array[1, 20], Gen.Select(Gen.Int[0, 19], Gen.Int[0, 3], Gen.Int[0, 2000], Gen.Byte).Array[0, 60]).Sample(
            (originals, attacks) =>
            {
                using var pair = Create();
                pair.Left.Network.Peer = null;
                pair.Left.SendFromTun(originals);
                byte[][] sealed_ = [.. pair.Left.Network.Sent.Select(sent => sent.Packet)];
                foreach (var (which, how, at, value) in attacks)
                {
                    if (sealed_.Length > 0)
                    {
                        pair.Enqueue(Attack([.. sealed_[which % sealed_.Length]], how, at, value));
                    }
                }

                pair.Right.RunInbound();
                CheckInbound(pair.Right);
                Assert.True(pair.Right.Tunnel.WrittenCount <= sealed_.Length);
                Assert.Equal((ulong)pair.Right.Tunnel.WrittenCount, pair.RightIn.Usage.Packets);
                return true;
            },
            iter: 300);

    private static byte[] Attack(byte[] packet, int how, int at, byte value)
    {
        switch (how)
        {
            case 0:
                packet[at % packet.Length] ^= value;
                return packet;
            case 1:
                return packet[..(at % (packet.Length + 1))];
            case 2:
                return [.. packet, .. new byte[at % 64]];
            default:
                return packet;
        }
    }
}
