using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests;

/// <summary>A NAT gives the peer another address or port (RFC 3948, RFC 7296 §2.23).</summary>
public sealed class MappingTests
{
    private static readonly InternetAddress Elsewhere = InternetAddress.Parse("198.51.100.7");

    private static byte[] Packet(Pair pair) => pair.Capture(Packets.Udp("10.1.0.1", "10.2.0.1"));

    [Fact]
    public void Peer_MovedPort_ReportedOncePerChange()
    {
        using var pair = new Pair();
        pair.Inject(Packet(pair));
        Assert.Empty(pair.Right.TakeEvents());

        pair.Inject(Packet(pair), fromPort: 1024);
        pair.Inject(Packet(pair), fromPort: 1024);
        var moved = Assert.Single(pair.Right.TakeEvents());
        Assert.Equal((IpsecEventKind.Mapping, pair.RightIn, pair.LeftOuter, (ushort)1024), (moved.Kind, moved.Association, moved.PeerAddress, moved.PeerPort));

        pair.Inject(Packet(pair), from: Elsewhere, fromPort: 1024);
        Assert.Equal(Elsewhere, Assert.Single(pair.Right.TakeEvents()).PeerAddress);

        // Back at its place there is nothing to report; away again there is.
        pair.Inject(Packet(pair));
        Assert.Empty(pair.Right.TakeEvents());
        pair.Inject(Packet(pair), from: Elsewhere, fromPort: 1024);
        Assert.Single(pair.Right.TakeEvents());
        Assert.Equal(pair.LeftOuter, pair.RightIn.Source);
    }

    [Fact]
    public void ForgedPacket_FromElsewhere_NotReported()
    {
        using var pair = new Pair();
        byte[] packet = Packet(pair);
        packet[^1] ^= 1;
        pair.Inject(packet, from: Elsewhere);
        Assert.Empty(pair.Right.TakeEvents());
    }

    [Fact]
    public void ReplayedPacket_FromElsewhere_NotReported()
    {
        using var pair = new Pair();
        byte[] packet = Packet(pair);
        pair.Inject(packet);
        pair.Inject(packet, from: Elsewhere);
        Assert.Empty(pair.Right.TakeEvents());
        Assert.Equal(1, pair.Right.Counters.Read(DropReason.InboundReplayed));
    }

    // Both pass the check before the ICV is verified; only the first is new.
    [Fact]
    public void TwoCopiesInOneBatch_SecondFromElsewhere_ReplayedAndNotReported()
    {
        using var pair = new Pair();
        byte[] packet = Packet(pair);
        pair.Enqueue(packet);
        pair.Enqueue(packet, from: Elsewhere);
        var before = pair.Right.Counters.Snapshot();
        pair.Right.RunInbound();
        var change = pair.Right.Counters.Snapshot().Since(before);
        Assert.Equal(1, change[DropReason.InboundReplayed]);
        Assert.Equal(1, change.TotalDrops);
        Assert.Single(pair.Right.Tunnel.Written);
        Assert.Empty(pair.Right.TakeEvents());
        Assert.Equal(1u, pair.RightIn.Usage.Packets);
        Assert.Equal(1u, pair.RightIn.ReplayFailures);
    }

    [Fact]
    public void RawEsp_FromElsewhere_NotReported()
    {
        using var pair = new Pair(new TunnelSettings { Udp = false });
        pair.Inject(Packet(pair), from: Elsewhere);
        Assert.Empty(pair.Right.TakeEvents());
        Assert.Single(pair.Right.Tunnel.Written);
    }

    [Fact]
    public void DummyPacket_FromElsewhere_Reported()
    {
        using var pair = new Pair();
        pair.Inject(Forge.Seal(Suite.Gcm, Pair.LeftToRight, 1, new byte[20], 59), fromPort: 1024);
        Assert.Single(pair.Right.TakeEvents());
    }
}
