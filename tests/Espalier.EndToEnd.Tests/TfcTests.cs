using System.Globalization;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Traffic flow confidentiality padding (RFC 4303 §2.7): sent when the SA asks for it, stripped by whoever receives it.</summary>
public sealed class TfcTests(Gateways hosts) : IClassFixture<Gateways>
{
    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Outer_PaddedTo1000_HasOneLengthUpToThere(bool outer6, bool inner6)
    {
        hosts.Key(outer6, inner6, extra: "tfcpad 1000");
        int header = inner6 ? 48 : 28;

        int[] lengths = Lengths(outer6, inner6, 1, 300, 1000 - header, 1200 - header);

        int overhead = (outer6 ? 40 : 20) + 8 + 8 + 8 + 16;
        Assert.Equal([overhead + 1004, overhead + 1004, overhead + 1004, overhead + 1204], lengths); // payload and 2 bytes, up to a multiple of 4
    }

    [Theory]
    [InlineData(false, false, 1500)]
    [InlineData(true, true, 1500)]
    public void Outer_PaddedToMoreThanThePath_FillsIt(bool outer6, bool inner6, int path)
    {
        hosts.Key(outer6, inner6, extra: "tfcpad 9000");

        Assert.Equal([path, path], Lengths(outer6, inner6, 1, 500));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Inner_Padded_ArrivesAsItWasSent(bool inner6)
    {
        hosts.Key(inner6: inner6, extra: "tfcpad 1000");
        using var capture = new PacketCapture(hosts.Bob, "lanb", $"src host {Gateways.AliceAt(inner6)} and (icmp or icmp6)");

        hosts.Ping(inner6, "-s 100").Expect();

        capture.Finish(1);
        Assert.Equal(inner6 ? 148 : 128, IpHeader.Of(capture.Frames()[0]).Length);
    }

    private int[] Lengths(bool outer6, bool inner6, params int[] payloads)
    {
        using var capture = new PacketCapture(hosts.Router, "wana", $"src host {Gateways.MoonAt(outer6)} and udp port 4500");
        foreach (int payload in payloads)
        {
            hosts.Ping(inner6, string.Create(CultureInfo.InvariantCulture, $"-s {payload}")).Expect();
        }

        capture.Finish(payloads.Length);
        return [.. capture.Frames().Select(f => IpHeader.Of(f).Length)];
    }
}
