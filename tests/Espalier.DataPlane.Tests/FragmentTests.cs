using System.Buffers.Binary;
using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Fragmentation;
using Espalier.Wire.Packets;

namespace Espalier.DataPlane.Tests;

/// <summary>Inner fragments and selectors with ports (RFC 4301 §7), and packets that are fragmented for the tunnel (RFC 791).</summary>
public sealed class FragmentTests
{
    private static byte[][] Cut(byte[] packet, int mtu)
    {
        Assert.True(IPv4Fragmenter.TryCreate(packet, mtu, out var fragmenter));
        var pieces = new List<byte[]>();
        byte[] piece = new byte[mtu];
        while (fragmenter.TryWriteNext(piece, out int length))
        {
            pieces.Add(piece[..length]);
        }

        return [.. pieces];
    }

    private static byte[] Reassemble(IEnumerable<byte[]> pieces)
    {
        byte[] data = [];
        foreach (byte[] piece in pieces)
        {
            int offset = (BinaryPrimitives.ReadUInt16BigEndian(piece.AsSpan(6)) & 0x1FFF) * 8;
            int header = (piece[0] & 15) * 4;
            if (data.Length < offset + piece.Length - header)
            {
                Array.Resize(ref data, offset + piece.Length - header);
            }

            piece.AsSpan(header).CopyTo(data.AsSpan(offset));
        }

        return data;
    }

    private static Pair WithPortPolicies()
    {
        var pair = new Pair(policies: false);
        Pair.AddPolicy(pair.Left, Pair.Policy(
            "10.1.0.0/16", "10.2.0.0/16", PolicyDirection.Out, pair.Template(pair.LeftOuter, pair.RightOuter), protocol: 17, destinationPort: 2000));
        Pair.AddPolicy(pair.Right, Pair.Policy(
            "10.1.0.0/16", "10.2.0.0/16", PolicyDirection.In, pair.Template(pair.LeftOuter, pair.RightOuter), protocol: 17, destinationPort: 2000));
        return pair;
    }

    [Fact]
    public void Fragments_FirstOneFirst_FollowItThroughPortSelectors()
    {
        using var pair = WithPortPolicies();
        byte[][] pieces = Cut(Packets.Udp("10.1.0.1", "10.2.0.1", payload: 3000, dontFragment: false), 1000);
        Assert.Equal(4, pieces.Length);
        pair.LeftToRightRun(pieces);
        Assert.Equal(pieces, pair.Right.Tunnel.Written);
    }

    [Fact]
    public void Fragments_LaterOneFirst_DroppedThenTheRestPasses()
    {
        using var pair = WithPortPolicies();
        byte[][] pieces = Cut(Packets.Udp("10.1.0.1", "10.2.0.1", payload: 3000, dontFragment: false), 1000);
        var before = pair.Left.Counters.Snapshot();
        pair.Left.SendFromTun(pieces[1]);
        Expect.OutboundDrop(pair.Left, before, DropReason.OutboundFragmentWithoutPorts);
        pair.LeftToRightRun(pieces[0], pieces[2], pieces[3]);
        Assert.Equal([pieces[0], pieces[2], pieces[3]], pair.Right.Tunnel.Written);
    }

    [Fact]
    public void Fragments_OfAFlowThatPolicyRefuses_DoNotPass()
    {
        using var pair = WithPortPolicies();
        byte[][] pieces = Cut(Packets.Udp("10.1.0.1", "10.2.0.1", payload: 3000, destinationPort: 2001, dontFragment: false), 1000);
        for (int i = 0; i < pieces.Length; i++)
        {
            pair.Inject(Forge.Seal(Suite.Gcm, Pair.LeftToRight, (ulong)i + 1, pieces[i], 4));
        }

        Assert.Empty(pair.Right.Tunnel.Written);

        // The first was refused, so it speaks for none of the others.
        Assert.Equal(1, pair.Right.Counters.Read(DropReason.InboundNoPolicy));
        Assert.Equal(3, pair.Right.Counters.Read(DropReason.InboundFragmentWithoutPorts));
    }

    [Fact]
    public void TooLarge_DfClear_FragmentedBeforeEspAndDelivered()
    {
        using var pair = new Pair();
        byte[] small = Packets.Udp("10.1.0.1", "10.2.0.1");
        byte[] large = Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 4000, dontFragment: false);
        var before = pair.Left.Counters.Snapshot();
        pair.LeftToRightRun(small, large, small);

        var written = pair.Right.Tunnel.Written;
        Assert.Equal(5, written.Count);
        Assert.Equal(small, written[0]);
        Assert.Equal(small, written[4]);
        Assert.Equal(large[20..], Reassemble(written.Skip(1).Take(3)));
        Assert.All(written, packet => Assert.True(IPv4Packet.TryParse(packet, out var view) && view.HasValidChecksum));
        Assert.All(pair.Left.Network.Sent, sent => Assert.InRange(sent.Packet.Length, 0, 1500 - 28));
        Assert.All(pair.Left.Network.Sent.Skip(1).Take(3), sent => Assert.False(sent.About.DontFragment));

        // Sequence numbers leave in order, so that fragments and what stood around them are not shuffled.
        Assert.Equal([1u, 2u, 3u, 4u, 5u], pair.Left.Network.Sent.Select(sent => BinaryPrimitives.ReadUInt32BigEndian(sent.Packet.AsSpan(4))));
        Expect.Changes(
            pair.Left, before, [],
            (TrafficCounter.TunPacketsRead, 3), (TrafficCounter.FragmentedPackets, 1), (TrafficCounter.FragmentsCreated, 3),
            (TrafficCounter.OutboundPackets, 5), (TrafficCounter.OutboundBytes, pair.Left.Network.Sent.Sum(sent => sent.Packet.Length)));
    }

    [Fact]
    public void TooLarge_MoreFragmentsThanABatchHolds_AllDelivered()
    {
        using var pair = new Pair(defaultPathMtu: 200);
        byte[] large = Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 9000, dontFragment: false);
        pair.LeftToRightRun(large);
        Assert.True(pair.Right.Tunnel.Written.Count > 64);
        Assert.Equal(large[20..], Reassemble(pair.Right.Tunnel.Written));
        Assert.All(pair.Left.Network.Sent, sent => Assert.InRange(sent.Packet.Length, 0, 200 - 28));
    }

    [Fact]
    public void TooLarge_FragmentOfAFragmentedPacket_CutFurther()
    {
        using var pair = new Pair();
        byte[][] pieces = Cut(Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 5000, dontFragment: false), 1500);
        pair.LeftToRightRun(pieces);
        Assert.True(pair.Right.Tunnel.Written.Count > pieces.Length);
        Assert.Equal(Reassemble(pieces), Reassemble(pair.Right.Tunnel.Written));
    }

    [Fact]
    public void TooLarge_FragmentWithPortSelector_PiecesFollowThePolicyOfThePacket()
    {
        using var pair = WithPortPolicies();
        byte[] large = Packets.UdpOfLength("10.1.0.1", "10.2.0.1", 4000, dontFragment: false);
        pair.LeftToRightRun(large);
        Assert.Equal(large[20..], Reassemble(pair.Right.Tunnel.Written));
    }
}
