using System.Net;
using Espalier.Ipsec.Spd;
using Espalier.Wire.Addresses;
using Espalier.Wire.Packets;

namespace Espalier.Ipsec.Tests.Spd;

/// <summary>The flow that an ICMP error is about, turned round.</summary>
public sealed class QuotedFlowTests
{
    private static readonly InternetAddress Router = InternetAddress.Parse("10.7.0.7");
    private static readonly InternetAddress Near = InternetAddress.Parse("10.1.0.5");
    private static readonly InternetAddress Far = InternetAddress.Parse("10.2.0.5");

    [Fact]
    public void Udp_CutBehindItsPorts_HasThemExchanged()
    {
        byte[] quote = new byte[28];
        PacketWriter.WriteIp(quote, Far, Near, IpProtocol.Udp, 1000);
        (quote[20], quote[21], quote[22], quote[23]) = (0, 53, 4, 1);

        Assert.Equal(new FlowKey(Near, Far, IpProtocol.Udp, 1025, 53), Reverse(quote));
    }

    [Fact]
    public void Icmp_KeepsTypeAndCodeInTheirPlaces()
    {
        byte[] quote = new byte[28];
        PacketWriter.WriteIp(quote, Far, Near, IpProtocol.Icmp, 64);
        (quote[20], quote[21]) = (8, 0);

        Assert.Equal(new FlowKey(Near, Far, IpProtocol.Icmp, 8, 0), Reverse(quote));
    }

    [Fact]
    public void LaterFragment_HasNoPorts()
    {
        byte[] quote = new byte[28];
        PacketWriter.WriteIp(quote, Far, Near, IpProtocol.Udp, 1000);
        quote[7] = 100;

        Assert.Equal(new FlowKey(Near, Far, IpProtocol.Udp, 0, 0, PortsKnown: false), Reverse(quote));
    }

    [Fact]
    public void RandomQuotes_GiveTheirAddressesTheOtherWayRoundOrNothing()
    {
        var random = new Random(1);
        int found = 0;
        for (int i = 0; i < 20_000; i++)
        {
            byte[] quote = new byte[random.Next(0, 400)];
            random.NextBytes(quote);
            if (quote.Length > 0)
            {
                quote[0] = (byte)(random.Next(2) == 0 ? 0x45 : 0x60);
            }

            if (Reverse(quote) is { } flow)
            {
                var (source, destination) = quote[0] >> 4 == 4 ? (quote[12..16], quote[16..20]) : (quote[8..24], quote[24..40]);
                Assert.Equal((Address(destination), Address(source)), (flow.Source, flow.Destination));
                found++;
            }
        }

        Assert.InRange(found, 1, 19_999);
    }

    private static InternetAddress Address(byte[] bytes) => InternetAddress.Parse(new IPAddress(bytes).ToString());

    private static FlowKey? Reverse(byte[] quote)
    {
        byte[] error = new byte[28 + quote.Length];
        PacketWriter.WriteIp(error, Router, Far, IpProtocol.Icmp, 8 + quote.Length);
        error[20] = 11;
        quote.CopyTo(error, 28);
        Assert.True(InnerPacketParser.TryParse(error, out var summary));
        return QuotedFlow.TryReverse(error, summary, out var flow) ? flow : null;
    }
}
