using Espalier.Routing.Tests.Hosts;
using static Espalier.Routing.Tests.Hosts.Build;

namespace Espalier.Routing.Tests.Mtu;

/// <summary>The TUN's MTU follows the outbound SAs. The hosts are drawn at <see cref="RoutedHost"/>.</summary>
public sealed class TunnelMtuTests
{
    // Outer 1,500: less 20 (IP), 8 (UDP), 8 (SPI, sequence), 8 (IV), 16 (ICV) = 1,440, less pad length and next header = 1,438.
    [Fact]
    public void Sa_ComesAndGoes_SetsAndResetsTheMtu()
    {
        using var host = new RoutedHost();
        Assert.Equal(1400, LinkMtu(host));

        var association = Sa(0x100, "192.168.0.1", "192.168.0.2");
        host.Add(association);
        Assert.Equal(1438, LinkMtu(host));
        Assert.Equal(1500, association.PathMtu);

        var inbound = Sa(0x200, "192.168.0.2", "192.168.0.1");
        host.Add(inbound);
        Assert.Equal(0, inbound.PathMtu);

        host.Remove(association);
        Assert.Equal(1400, LinkMtu(host));
    }

    [Fact]
    public void Sa_SeveralSizes_TheLargestCounts()
    {
        using var host = new RoutedHost();
        var six = Sa(0x101, "fd00:9::1", "fd00:9::2");
        var plain = Sa(0x102, "192.168.0.1", "192.168.0.2", udp: false);
        host.Add(six);
        Assert.Equal(1418, LinkMtu(host));

        host.Add(plain);
        Assert.Equal(1446, LinkMtu(host));

        host.Remove(plain);
        Assert.Equal(1418, LinkMtu(host));
    }

    [Theory]
    [InlineData(9000, 8938)]
    [InlineData(1300, 1280)]
    [InlineData(20_000, 9216)]
    public void Link_OtherMtu_IsFollowed(int outer, int tunnel)
    {
        using var host = new RoutedHost();
        var association = Sa(0x100, "192.168.0.1", "192.168.0.2");
        host.Add(association);

        host.Host.Ip($"link set eth0 mtu {outer}");

        Assert.True(host.ProcessUntil(() => association.PathMtu == outer && host.Controller.TunnelMtu == tunnel), $"{host.Controller.TunnelMtu}");
        Assert.Equal(tunnel, LinkMtu(host));
    }

    [Fact]
    public void PathMtu_Learnt_LowersSaAndTunnel()
    {
        using var host = new RoutedHost();
        var association = Sa(0x100, "192.168.0.1", "192.168.0.2");
        host.Add(association);

        host.Host.Run(() =>
        {
            host.Controller.LearnPathMtu(association, 1400);
            host.Controller.Process();
        });

        Assert.Equal(1400, association.PathMtu);
        Assert.Equal(1338, LinkMtu(host));
    }

    [Fact]
    public void Address_ThatMakesAnSaOutbound_IsFollowed()
    {
        using var host = new RoutedHost();
        var association = Sa(0x100, "192.168.7.1", "192.168.0.2");
        host.Add(association);
        Assert.Equal(1400, LinkMtu(host));

        host.Host.Ip("address add 192.168.7.1/32 dev lo");

        Assert.True(host.ProcessUntil(() => association.PathMtu == 1500));
        Assert.Equal(1438, LinkMtu(host));
    }

    private static int LinkMtu(RoutedHost host)
    {
        string[] words = host.Host.Ip("link show dev esp0").Split(' ');
        return int.Parse(words[Array.IndexOf(words, "mtu") + 1], System.Globalization.CultureInfo.InvariantCulture);
    }
}
