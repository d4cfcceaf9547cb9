using System.Globalization;
using System.Text.RegularExpressions;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Rekeying as an IKE daemon does it, by hand, under a hundred pings a second: new SAs beside the old ones, of the same reqid, then the old ones go.</summary>
public sealed partial class RekeyTests
{
    private const int Rekeys = 5;

    [Fact]
    public async Task Tunnel_RekeyedUnderAHundredPingsASecond_LosesNothing()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        using var ping = hosts.Moon.Start("ping -c 400 -i 0.01 -W 2 -q -I 10.1.0.1 10.2.0.1");
        var output = ping.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);

        var used = new List<long>();
        for (int generation = 1; generation <= Rekeys; generation++)
        {
            used.Add(Rekey(hosts, generation));
        }

        string text = await output;
        var summary = Summary().Match(text);
        Assert.True(summary.Success, text);
        Assert.Equal(summary.Groups[1].Value, summary.Groups[2].Value);
        // Each generation carried something, and all together carried every ping.
        used.Add(Packets(hosts, Rekeys));
        Assert.All(used, packets => Assert.True(packets > 0, string.Join(", ", used)));
        Assert.Equal(400, used.Sum());
        Assert.Equal(2, (int)hosts.MoonDaemon.Stat()["associationsCount"]!);
        foreach (var daemon in new[] { hosts.MoonDaemon, hosts.SunDaemon })
        {
            Assert.All(daemon.Stat()["drops"]!.AsObject(), drop => Assert.True((long)drop.Value! == 0, $"{drop.Key}: {drop.Value}"));
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"packets of each generation: {string.Join(", ", used)}");
    }

    [Fact]
    public async Task Policies_UpdatedUnderAHundredPingsASecond_LoseNothingAndLeakNothing()
    {
        Requirements.Need("ping", "tcpdump");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        using var capture = new PacketCapture(hosts.Moon, "eth0", "icmp");
        using var ping = hosts.Moon.Start("ping -c 120 -i 0.01 -W 2 -q -I 10.1.0.1 10.2.0.1");
        var output = ping.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        const string Template = "tmpl src 192.168.0.1 dst 192.168.0.2 proto esp reqid 1 mode tunnel";
        for (int round = 1; round <= 6; round++)
        {
            hosts.MoonDaemon.Exec(string.Create(CultureInfo.InvariantCulture, $"ip xfrm policy update src 10.1.0.0/16 dst 10.2.0.0/16 dir out priority {100 + round} {Template}")).Expect();
            // A narrower one beside it, with a route of its own, comes and goes; and one for another destination.
            hosts.MoonDaemon.Exec($"ip xfrm policy add src 10.1.0.1/32 dst 10.2.0.1/32 dir out priority 9 {Template}").Expect();
            hosts.MoonDaemon.Exec($"ip xfrm policy add src 10.1.0.0/16 dst 10.5.0.0/16 dir out {Template}").Expect();
            hosts.MoonDaemon.Exec("ip xfrm policy delete src 10.1.0.1/32 dst 10.2.0.1/32 dir out").Expect();
            hosts.MoonDaemon.Exec("ip xfrm policy delete src 10.1.0.0/16 dst 10.5.0.0/16 dir out").Expect();
        }

        string text = await output;
        Assert.Contains("120 packets transmitted, 120 received", text, StringComparison.Ordinal);
        capture.Finish();
        Assert.Empty(capture.Frames());
    }

    [Fact]
    public void Associations_SeveralOfOneReqid_TheNewestThatIsNotDyingIsUsed()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true);
        foreach (var daemon in new[] { hosts.SunDaemon, hosts.MoonDaemon })
        {
            Add(daemon, moonToSun: true, 1, "");
            Add(daemon, moonToSun: true, 2, "limit packet-soft 2");
        }

        hosts.Moon.Sh("ping -c 6 -i 0.05 -W 1 -I 10.1.0.1 10.2.0.1").Expect();

        // Generation 2, the newest, until its soft limit; the packet that meets the limit still goes (and the SA is dying from then on).
        Assert.Equal((0L, 6L), (Packets(hosts, 0), Packets(hosts, 1) + Packets(hosts, 2)));
        Assert.InRange(Packets(hosts, 2), 2, 4);
        hosts.MoonDaemon.Exec(Delete(moonToSun: true, 1)).Expect();
        hosts.Moon.Sh("ping -c 2 -i 0.05 -W 1 -I 10.1.0.1 10.2.0.1").Expect();
        Assert.Equal(2, Packets(hosts, 0)); // valid before dying
        hosts.MoonDaemon.Exec(Delete(moonToSun: true, 0)).Expect();
        hosts.Moon.Sh("ping -c 2 -i 0.05 -W 1 -I 10.1.0.1 10.2.0.1").Expect(); // a dying one is better than none
    }

    // Receivers first, then senders, then, once both senders use the new ones, the old ones: RFC 7296 §2.8. Returns what the old SA moon → sun had carried.
    private static long Rekey(TwoHosts hosts, int generation)
    {
        Add(hosts.SunDaemon, moonToSun: true, generation, "");
        Add(hosts.MoonDaemon, moonToSun: false, generation, "");
        Add(hosts.MoonDaemon, moonToSun: true, generation, "");
        Add(hosts.SunDaemon, moonToSun: false, generation, "");
        Wait.Until(
            () => Packets(hosts, generation) > 0 && Packets(hosts, generation, moonToSun: false) > 0, "the new SAs carry packets");
        long carried = Packets(hosts, generation - 1);
        foreach (bool moonToSun in new[] { true, false })
        {
            hosts.MoonDaemon.Exec(Delete(moonToSun, generation - 1)).Expect();
            hosts.SunDaemon.Exec(Delete(moonToSun, generation - 1)).Expect();
        }

        return carried;
    }

    private static void Add(EspalierProgram daemon, bool moonToSun, int generation, string limits) => daemon.Exec(
        $"ip xfrm state add {Id(moonToSun, generation)} reqid 1 mode tunnel flag af-unspec replay-window 128 {limits} aead rfc4106(gcm(aes)) 0x{generation:x40} 128 encap espinudp 4500 4500 0.0.0.0").Expect();

    private static string Delete(bool moonToSun, int generation) => $"ip xfrm state delete {Id(moonToSun, generation)}";

    private static string Id(bool moonToSun, int generation) => string.Create(
        CultureInfo.InvariantCulture,
        $"src 192.168.0.{(moonToSun ? 1 : 2)} dst 192.168.0.{(moonToSun ? 2 : 1)} proto esp spi {Spi(moonToSun, generation)}");

    private static uint Spi(bool moonToSun, int generation) => (moonToSun ? TwoHosts.MoonToSun : TwoHosts.SunToMoon) + ((uint)generation << 8);

    private static long Packets(TwoHosts hosts, int generation, bool moonToSun = true)
    {
        string spi = $"0x{Spi(moonToSun, generation):x8}";
        return (long)hosts.MoonDaemon.Stat()["associations"]!.AsArray().Single(one => (string)one!["spi"]! == spi)!["packets"]!;
    }

    [GeneratedRegex("([0-9]+) packets transmitted, ([0-9]+) received")]
    private static partial Regex Summary();
}
