using System.Globalization;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Inner packets of 1 byte of payload to 9,000 bytes, on a jumbo path, on an ordinary path and on a path that narrows on the way.</summary>
public sealed class SizeTests
{
    [Theory]
    [InlineData(1500, true)]
    [InlineData(1500, false)]
    [InlineData(9216, true)]
    [InlineData(9216, false)]
    public void Tunnel_PayloadsOf1To9000Bytes_AllArrive(int linkMtu, bool udp)
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts(linkMtu);
        hosts.Key(outer6: false, inner6: false, udp);
        int[] sizes = [1, 2, 3, 15, 16, 17, 63, 64, 100, 576, 1000, 1300, 1371, 1372, 1373, 1400, 1420, 1472, 1473, 2000, 2800, 4000, 8000, 8900, 8972];
        foreach (int size in sizes)
        {
            var ping = hosts.Moon.Sh(string.Create(CultureInfo.InvariantCulture, $"ping -c 1 -W 2 -s {size} -M dont -I 10.1.0.1 10.2.0.1"));
            Assert.True(ping.ExitCode == 0, $"{size} bytes: {ping.Output}\n{hosts.MoonDaemon.Stat()}\n{hosts.SunDaemon.Stat()}");
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Tunnel_DontFragmentTooLarge_SenderLearnsTheMtu(bool inner6)
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6, udp: true);
        string sun = TwoHosts.Inner(2, inner6), moon = TwoHosts.Inner(1, inner6);

        var tooLarge = hosts.Moon.Sh($"ping -c 2 -i 0.2 -W 1 -s 1472 -M do -I {moon} {sun}");

        Assert.NotEqual(0, tooLarge.ExitCode);
        Assert.Matches("[Mm]essage too long|mtu ?=|Packet too big|Frag needed", tooLarge.Output + tooLarge.Error);
        hosts.Moon.Sh($"ping -c 1 -W 2 -s 1300 -M do -I {moon} {sun}").Expect();
    }
}
