using Espalier.DataPlane.Counters;
using Espalier.DataPlane.Tests.Harness;

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
        Expect.InboundDrop(pair.Right, before, Ipsec.DropReason.InboundMalformedEsp);
    }

    [Fact]
    public void RawEsp_ZeroSpi_IsReserved()
    {
        using var pair = new Pair(new TunnelSettings { Udp = false });
        var before = pair.Right.Counters.Snapshot();
        pair.Inject(new byte[32]);
        Expect.InboundDrop(pair.Right, before, Ipsec.DropReason.InboundReservedSpi);
    }
}
