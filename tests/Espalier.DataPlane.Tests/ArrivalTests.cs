using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;
using Espalier.Ipsec;
using Espalier.Ipsec.Sad;

namespace Espalier.DataPlane.Tests;

/// <summary>What arrives and is no ESP packet.</summary>
public sealed class ArrivalTests
{
    [Fact]
    public void Keepalive_CountedQuietly()
    {
        using var pair = new Pair();
        var before = pair.Right.Counters.Snapshot();
        pair.Inject([0xFF]);
        Expect.Changes(pair.Right, before, [], (TrafficCounter.OuterPacketsRead, 1), (TrafficCounter.Keepalives, 1));
    }

    [Theory]
    [InlineData(new byte[] { 0xFE })]
    [InlineData(new byte[] { 0xFF, 0xFF })]
    [InlineData(new byte[] { })]
    [InlineData(new byte[] { 0, 0, 0 })]
    [InlineData(new byte[] { 1, 2, 3, 4, 5, 6, 7 })]
    public void ShortDatagram_NoKeepalive_IsMalformed(byte[] datagram)
    {
        using var pair = new Pair();
        var before = pair.Right.Counters.Snapshot();
        pair.Inject(datagram);
        Expect.InboundDrop(pair.Right, before, DropReason.InboundMalformedEsp);
    }

    // As on the kernel: reserved by RFC 4303, and chosen by many who key by hand.
    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 1)]
    [InlineData(true, 255)]
    public void ReservedSpi_OfAnSa_IsReceived(bool udp, uint spi)
    {
        var settings = new TunnelSettings { Udp = udp };
        using var pair = new Pair(settings);
        foreach (var host in new[] { pair.Left, pair.Right })
        {
            using (host.Database.Freeze())
            {
                Assert.True(host.Database.Sad.Remove(host.Database.Sad.Find(new SaIdentity(new Spi(Pair.LeftToRight), pair.RightOuter))!));
            }

            Pair.Add(host, settings, spi, pair.LeftOuter, pair.RightOuter);
        }

        byte[] packet = Packets.Udp("10.1.0.1", "10.2.0.1");
        pair.LeftToRightRun(packet);
        Assert.Equal(packet, Assert.Single(pair.Right.Tunnel.Written));
    }

    [Fact]
    public void RawEsp_ZeroSpi_IsReserved()
    {
        using var pair = new Pair(new TunnelSettings { Udp = false });
        var before = pair.Right.Counters.Snapshot();
        pair.Inject(new byte[32]);
        Expect.InboundDrop(pair.Right, before, DropReason.InboundReservedSpi);
    }
}
