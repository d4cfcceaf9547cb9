using Espalier.DataPlane.Tests.Harness;
using Espalier.Io.Batches;
using Espalier.Ipsec.Esp;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;

namespace Espalier.DataPlane.Tests;

/// <summary>ESP packets that lie one right behind the other, as the geometry of the SAs before lets one guess.</summary>
public sealed class FrameRowTests
{
    public static TheoryData<string> Suites => [.. Suite.All.Select(static suite => suite.Name)];

    [Theory]
    [MemberData(nameof(Suites))]
    public void Process_ThirdBatchOfOneGeometry_IsOnePiece(string name)
    {
        using var pair = new Pair(new TunnelSettings { Suite = Suite.All.Single(suite => suite.Name == name) });
        pair.Left.Network.Peer = null;
        for (int batch = 0; batch < 3; batch++)
        {
            Assert.Equal(batch == 2, pair.Left.Outbound.Spacing != FrameSpacing.None);
            pair.Left.SendFromTun(SomePackets());
        }

        var sent = pair.Left.Network.Sent;
        Assert.Equal(30, sent.Count);
        Assert.All(Enumerable.Range(1, 9), i => Assert.NotEqual(sent[i - 1].About.Offset + sent[i - 1].Packet.Length, sent[i].About.Offset));
        Assert.All(Enumerable.Range(21, 9), i => Assert.Equal(sent[i - 1].About.Offset + sent[i - 1].Packet.Length, sent[i].About.Offset));
    }

    [Fact]
    public void Process_TfcPadding_NeedsAllTheRoom()
    {
        using var pair = new Pair(new TunnelSettings { TfcPadding = 1200 });
        pair.Left.Network.Peer = null;
        pair.Left.Spacing = new FrameSpacing(EspGeometry.HeaderLength + 8, EspGeometry.TrailerLength, 4, 16);
        pair.Left.SendFromTun(SomePackets());
        Assert.All(pair.Left.Network.Sent, static sent => Assert.InRange(sent.Packet.Length, 1200, 1300));
        Assert.Equal(FrameSpacing.None, pair.Left.Outbound.Spacing);
    }

    [Fact]
    public void Process_TwoGeometries_AllArrive_AndARowIsMadeOnlyWhereOneFollowsItself()
    {
        using var pair = new Pair(new TunnelSettings { Selector = From("10.1.0.1/32") });
        pair.AddTunnel(new TunnelSettings { Selector = From("10.1.0.2/32"), Suite = Suite.CbcSha256 }, 0x1001, 0x2001);
        byte[] first = Packets.Udp("10.1.0.1", "10.2.0.1", payload: 100);
        byte[] second = Packets.Udp("10.1.0.2", "10.2.0.1", payload: 101);
        var sent = new List<byte[]>();

        Send(FrameSpacing.None, first, second);
        Send(FrameSpacing.None, first, second);
        Send(FrameSpacing.None, first);
        Send(FrameSpacing.None, second);
        var ofSecond = Send(null, second);
        Assert.NotEqual(FrameSpacing.None, ofSecond);

        // Room for CBC with HMAC; then packets of GCM in it, from the first on and from the second.
        Assert.Equal(FrameSpacing.None, Send(FrameSpacing.None, first, first));
        Assert.NotEqual(ofSecond, Send(null, first, first));
        Send(FrameSpacing.None, first, second, first, second);

        pair.Right.RunInbound();
        Assert.Equal(sent.Select(Convert.ToHexString), pair.Right.Tunnel.Written.Select(Convert.ToHexString));

        FrameSpacing Send(FrameSpacing? after, params byte[][] packets)
        {
            sent.AddRange(packets);
            pair.Left.SendFromTun(packets);
            Assert.Equal(after ?? pair.Left.Outbound.Spacing, pair.Left.Outbound.Spacing);
            return pair.Left.Outbound.Spacing;
        }
    }

    private static TrafficSelector From(string prefix) => new(AddressPrefix.Parse(prefix), AddressPrefix.Parse("10.2.0.0/16"), 0, 0, 0, 0, 0);

    private static byte[][] SomePackets() => [.. Enumerable.Range(0, 10).Select(static i => Packets.Udp("10.1.0.1", "10.2.0.1", payload: 100 + (i * 7)))];
}
