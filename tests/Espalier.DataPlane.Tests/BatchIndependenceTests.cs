using CsCheck;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Io.Batches;
using Espalier.Ipsec.Lifetimes;
using Espalier.Ipsec.Sad;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests;

/// <summary>
/// What is decided about a packet stands for the next of its flow in the same batch. Packets one to a batch are the model: each is decided by itself.
/// </summary>
public sealed class BatchIndependenceTests
{
    // Few flows, so that most packets are of the flow before, or of one that differs in one thing.
    private static readonly Gen<byte[]> AnyPacket =
        from isIPv6 in Gen.Frequency((4, Gen.Const(false)), (1, Gen.Const(true)))
        from near in Gen.Int[1, 2]
        from far in Gen.Int[1, 2]
        from port in Gen.Frequency((8, Gen.Const((ushort)2000)), (1, Gen.UShort[52, 54]))
        from size in Gen.Frequency((8, Gen.Const(200)), (1, Gen.Int[0, 3000]))
        from trafficClass in Gen.Frequency((5, Gen.Const((byte)0)), (2, Gen.Byte))
        from dontFragment in Gen.Bool
        select Packets.Udp(
            isIPv6 ? $"fd01::{near}" : $"10.1.0.{near}", isIPv6 ? $"fd02::{far}" : $"10.2.0.{far}", size, destinationPort: port,
            trafficClass: trafficClass, dontFragment: dontFragment);

    private static readonly Gen<LifetimeLimits> AnyLimits =
        Gen.Select(Gen.UInt[1, 40], Gen.UInt[1, 60]).Select(
            (soft, hard) => LifetimeLimits.None with { SoftPackets = Math.Min(soft, hard), HardPackets = hard });

    // What the TUN's packets were given in a row: nothing, what the SAs need, more, or too little.
    private static readonly Gen<FrameSpacing> AnySpacing = Gen.OneOf(
        Gen.Const(FrameSpacing.None), Gen.Const(new FrameSpacing(16, 2, 4, 16)),
        Gen.Select(Gen.Int[0, 64], Gen.Int[0, 4], Gen.Int[0, 5], Gen.Int[0, 40]).Select(
            static (before, trailer, alignment, behind) => new FrameSpacing(before, trailer, 1 << alignment, behind)));

    [Fact]
    public void Pipelines_PacketsInBatches_DecideAsOneByOne() =>
        Gen.Select(AnyPacket, Gen.Int[1, 6]).Array[1, 25].Select(
            static runs => runs.SelectMany(static run => Enumerable.Repeat(run.Item1, run.Item2)).ToArray())
        .Select(AnyLimits, AnyLimits, Gen.Bool, Gen.Byte.Array[0, 200], AnySpacing).Sample(
            static (packets, first, second, hasSpare, outerTrafficClasses, spacing) =>
            {
                using var together = Create(first, second, hasSpare);
                using var alone = Create(first, second, hasSpare);

                together.Left.Spacing = spacing;
                together.Left.SendFromTun(packets);
                foreach (byte[] packet in packets)
                {
                    alone.Left.SendFromTun(packet);
                }

                ExpectSame(alone.Left, together.Left);
                Assert.Equal(alone.Left.Network.Sent.Select(About), together.Left.Network.Sent.Select(About));
                Assert.Equal(alone.Left.Bypass.Sent, together.Left.Bypass.Sent);
                Assert.Equal(alone.Left.Icmp.Sent.Count, together.Left.Icmp.Sent.Count);

                Arrive(alone, outerTrafficClasses, oneByOne: true);
                Arrive(together, outerTrafficClasses, oneByOne: false);

                ExpectSame(alone.Right, together.Right);
                Assert.Equal(alone.Right.Tunnel.Written, together.Right.Tunnel.Written);
            },
            iter: 300);

    // Two tunnels under the same policies; the SA of one covers only a part of the traffic. Right's policies let one port in on the first host only.
    private static Pair Create(LifetimeLimits first, LifetimeLimits second, bool hasSpare)
    {
        var pair = new Pair(new TunnelSettings { Limits = first }, queueLength: 512);
        pair.Left.Network.Peer = null;
        if (hasSpare)
        {
            pair.AddTunnel(new TunnelSettings { Limits = second }, 0x1001, 0x2001);
            pair.AddTunnel(
                new TunnelSettings { Selector = new TrafficSelector(AddressPrefix.Parse("10.1.0.1/32"), AddressPrefix.Parse("10.2.0.0/16"), 0, 0, 0, 0, 0) },
                0x1002, 0x2002);
        }

        Pair.AddPolicy(pair.Left, Pair.Policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection.Out, action: PolicyAction.Block, priority: 1, destinationPort: 53));
        Pair.AddPolicy(pair.Left, Pair.Policy("10.1.0.0/16", "10.2.0.0/16", PolicyDirection.Out, priority: 1, destinationPort: 54));
        Pair.AddPolicy(pair.Right, Pair.Policy("10.1.0.0/16", "10.2.0.1/32", PolicyDirection.In, action: PolicyAction.Block, priority: 1, destinationPort: 52));
        return pair;
    }

    private static void Arrive(Pair pair, byte[] outerTrafficClasses, bool oneByOne)
    {
        int number = 0;
        foreach (var (packet, _, _) in pair.Left.Network.Sent)
        {
            byte trafficClass = number < outerTrafficClasses.Length ? outerTrafficClasses[number] : (byte)0;
            number++;
            pair.Enqueue(packet, trafficClass: trafficClass);
            if (oneByOne)
            {
                pair.Right.RunInbound();
            }
        }

        pair.Right.RunInbound();
    }

    private static (InternetAddress, ushort, byte, bool, int) About((byte[] Packet, PacketSlot About, ushort LocalPort) sent) =>
        (sent.About.Remote, sent.About.RemotePort, sent.About.TrafficClass, sent.About.DontFragment, sent.Packet.Length);

    private static void ExpectSame(TestHost expected, TestHost found)
    {
        var (left, right) = (expected.Counters.Snapshot(), found.Counters.Snapshot());
        Assert.Equal(left.Drops, right.Drops);
        for (TrafficCounter counter = 0; counter < TrafficCounter.Count; counter++)
        {
            if (counter != TrafficCounter.Batches)
            {
                Assert.Equal((counter, left[counter]), (counter, right[counter]));
            }
        }

        Assert.Equal(Uses(expected), Uses(found));
        Assert.Equal(
            expected.TakeEvents().Select(value => (value.Kind, value.Association?.Id.Spi)), found.TakeEvents().Select(value => (value.Kind, value.Association?.Id.Spi)));
    }

    private static IEnumerable<(uint, ulong, ulong, SaState, bool)> Uses(TestHost host) =>
    [
        .. host.Database.Sad.All.Select(sa => (sa.Id.Spi.Value, sa.Usage.Packets, sa.Usage.Bytes, sa.State, sa.Dying)),
        .. host.Database.Spd.Policies.Select(policy => (policy.Index, policy.Usage.Packets, policy.Usage.Bytes, SaState.Larval, false)),
    ];
}
