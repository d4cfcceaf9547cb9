using System.Globalization;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Hosts;

/// <summary>
/// Two gateways with a published daemon each, a router between them and a host behind each of them; rp_filter is strict everywhere.
/// <code>
///  alice ─── lana ─── moon ─── wana ─── router ─── wanb ─── sun ─── lanb ─── bob
///  10.1.0.10     10.1.0.1  192.168.0.1    .254  192.168.1.2   10.2.0.1   10.2.0.10
///  fd01::10      fd01::1   fec0:0:0:a::1  ::fe  fec0:0:0:b::2 fd02::1    fd02::10
/// </code>
/// The router knows the inner networks too, so that what leaves in clear arrives as well. One instance serves a class: <see cref="Key"/> starts afresh.
/// </summary>
public sealed class Gateways : IDisposable
{
    /// <summary>SPI of the SA moon → sun.</summary>
    public const uint MoonToSun = 0x10000001;

    /// <summary>SPI of the SA sun → moon.</summary>
    public const uint SunToMoon = 0x10000002;

    private readonly List<IDisposable> _owned = [];

    /// <summary>Makes the hosts and starts both daemons.</summary>
    public Gateways()
    {
        Requirements.Need("ping", "tcpdump", "nft", "ethtool");
        Alice = Host("alice");
        Moon = Host("moon", forwards: true);
        Router = Host("router", forwards: true);
        Sun = Host("sun", forwards: true);
        Bob = Host("bob");
        Alice.LinkTo(Moon, "lana", ["10.1.0.10/24", "fd01::10/64"], ["10.1.0.1/24", "fd01::1/64"]);
        Moon.LinkTo(Router, "wana", ["192.168.0.1/24", "fec0:0:0:a::1/64"], ["192.168.0.254/24", "fec0:0:0:a::fe/64"]);
        Router.LinkTo(Sun, "wanb", ["192.168.1.254/24", "fec0:0:0:b::fe/64"], ["192.168.1.2/24", "fec0:0:0:b::2/64"]);
        Sun.LinkTo(Bob, "lanb", ["10.2.0.1/24", "fd02::1/64"], ["10.2.0.10/24", "fd02::10/64"]);
        // What the captures see is what goes on the wire, not messages that a device is still to cut.
        Moon.Sh("ethtool -K wana tx-udp-segmentation off").Expect();
        Sun.Sh("ethtool -K wanb tx-udp-segmentation off").Expect();
        Routes(Alice, "default", "10.1.0.1", "fd01::1");
        Routes(Moon, "default", "192.168.0.254", "fec0:0:0:a::fe");
        Routes(Sun, "default", "192.168.1.254", "fec0:0:0:b::fe");
        Routes(Bob, "default", "10.2.0.1", "fd02::1");
        Router.Ip("route add 10.1.0.0/24 via 192.168.0.1");
        Router.Ip("route add 10.2.0.0/24 via 192.168.1.2");
        Router.Ip("route add fd01::/64 via fec0:0:0:a::1");
        Router.Ip("route add fd02::/64 via fec0:0:0:b::2");
        MoonDaemon = Own(EspalierProgram.Start(Moon));
        SunDaemon = Own(EspalierProgram.Start(Sun));
    }

    /// <summary>Host behind moon.</summary>
    public NetworkNamespace Alice { get; }

    /// <summary>The first gateway.</summary>
    public NetworkNamespace Moon { get; }

    /// <summary>The router between the gateways.</summary>
    public NetworkNamespace Router { get; }

    /// <summary>The second gateway.</summary>
    public NetworkNamespace Sun { get; }

    /// <summary>Host behind sun.</summary>
    public NetworkNamespace Bob { get; }

    /// <summary>Moon's daemon.</summary>
    public EspalierProgram MoonDaemon { get; }

    /// <summary>Sun's daemon.</summary>
    public EspalierProgram SunDaemon { get; }

    /// <summary>Alice's address.</summary>
    public static string AliceAt(bool ipv6) => ipv6 ? "fd01::10" : "10.1.0.10";

    /// <summary>Bob's address.</summary>
    public static string BobAt(bool ipv6) => ipv6 ? "fd02::10" : "10.2.0.10";

    /// <summary>Moon's outer address.</summary>
    public static string MoonAt(bool ipv6) => ipv6 ? "fec0:0:0:a::1" : "192.168.0.1";

    /// <summary>Sun's outer address.</summary>
    public static string SunAt(bool ipv6) => ipv6 ? "fec0:0:0:b::2" : "192.168.1.2";

    /// <summary>The network behind moon.</summary>
    public static string AliceNet(bool ipv6) => ipv6 ? "fd01::/64" : "10.1.0.0/24";

    /// <summary>The network behind sun.</summary>
    public static string BobNet(bool ipv6) => ipv6 ? "fd02::/64" : "10.2.0.0/24";

    /// <summary>AES-128-GCM with a fresh key, as `ip xfrm` takes it.</summary>
    public static string Gcm() => $"aead rfc4106(gcm(aes)) {TwoHosts.GcmKey()} 128";

    /// <summary>Flushes both daemons, then keys them with the same two SAs and with policies for the two networks.</summary>
    /// <param name="outer6">IPv6 outside.</param>
    /// <param name="inner6">IPv6 inside.</param>
    /// <param name="udp">UDP encapsulation.</param>
    /// <param name="extra">Further words of both SAs, before the algorithm.</param>
    /// <param name="algorithm">How `ip xfrm` names it, with key.</param>
    public void Key(bool outer6 = false, bool inner6 = false, bool udp = true, string extra = "", string? algorithm = null)
    {
        Flush();
        string[] keys = [algorithm ?? Gcm(), algorithm ?? Gcm()];
        Both($"""
            xfrm state add {Association(MoonToSun, outer6)} {extra} {keys[0]} {Encapsulation(outer6, udp)}
            xfrm state add {Association(SunToMoon, outer6)} {extra} {keys[1]} {Encapsulation(outer6, udp)}
            """);
        Protect(AliceNet(inner6), BobNet(inner6), outer6);
    }

    /// <summary>Removes SAs and policies of both daemons, the router's rules, and what the kernels learnt about paths.</summary>
    public void Flush()
    {
        Both("xfrm state flush\nxfrm policy flush");
        Router.Sh("nft flush ruleset").Expect();
        foreach (var host in new[] { Alice, Moon, Sun, Bob })
        {
            host.Sh("ip route flush cache").Expect();
            host.Sh("ip -6 route flush cache").Expect();
        }
    }

    /// <summary>Policies out, in and fwd on both gateways.</summary>
    /// <param name="near">Selector on moon's side.</param>
    /// <param name="far">Selector on sun's side.</param>
    /// <param name="outer6">IPv6 outside.</param>
    /// <param name="upper">Upper-layer words for the way there, for example <c>proto udp dport 5000</c>.</param>
    /// <param name="back">Upper-layer words for the way back.</param>
    public void Protect(string near, string far, bool outer6, string upper = "", string back = "")
    {
        string there = $"tmpl src {MoonAt(outer6)} dst {SunAt(outer6)} proto esp reqid 1 mode tunnel";
        string home = $"tmpl src {SunAt(outer6)} dst {MoonAt(outer6)} proto esp reqid 1 mode tunnel";
        Batch(MoonDaemon, $"""
            xfrm policy add src {near} dst {far} {upper} dir out {there}
            xfrm policy add src {far} dst {near} {back} dir in {home}
            xfrm policy add src {far} dst {near} {back} dir fwd {home}
            """);
        Batch(SunDaemon, $"""
            xfrm policy add src {far} dst {near} {back} dir out {home}
            xfrm policy add src {near} dst {far} {upper} dir in {there}
            xfrm policy add src {near} dst {far} {upper} dir fwd {there}
            """);
    }

    /// <summary>The identity of one of the two SAs, as `ip xfrm state` takes it.</summary>
    public static string Association(uint spi, bool outer6, uint direction = 0)
    {
        bool there = (direction == 0 ? spi : direction) == MoonToSun;
        string from = there ? MoonAt(outer6) : SunAt(outer6), to = there ? SunAt(outer6) : MoonAt(outer6);
        return string.Create(CultureInfo.InvariantCulture, $"src {from} dst {to} proto esp spi {spi} reqid 1 mode tunnel flag af-unspec replay-window 128");
    }

    /// <summary>The encapsulation, as `ip xfrm state` takes it.</summary>
    public static string Encapsulation(bool outer6, bool udp) => udp ? $"encap espinudp 4500 4500 {(outer6 ? "::" : "0.0.0.0")}" : "";

    /// <summary>Runs lines of `ip` in both gateways, under `espalier exec`.</summary>
    public void Both(string lines)
    {
        Batch(MoonDaemon, lines);
        Batch(SunDaemon, lines);
    }

    /// <summary>Runs lines of `ip` in one go, under `espalier exec`.</summary>
    public static void Batch(EspalierProgram daemon, string lines)
    {
        string file = Path.GetTempFileName();
        File.WriteAllText(file, lines + "\n");
        try
        {
            daemon.Exec("ip", "-batch", file).Expect();
        }
        finally
        {
            File.Delete(file);
        }
    }

    /// <summary>Makes the router change what it forwards: an nftables statement, for example <c>ip ecn set ce</c>.</summary>
    public void OnRouter(string statement)
    {
        Router.Sh("nft add table inet t").Expect();
        Shell.Run(["ip", "netns", "exec", Router.Name, "nft", "add", "chain", "inet", "t", "f", "{ type filter hook forward priority 0 ; }"]).Expect();
        Shell.Run(["ip", "netns", "exec", Router.Name, "nft", "add", "rule", "inet", "t", "f", .. statement.Split(' ')]).Expect();
    }

    /// <summary>Ping from alice to bob.</summary>
    public ShellResult Ping(bool inner6, string options = "", int count = 1, string wait = "2") =>
        Alice.Sh($"ping -n -c {count} -i 0.02 -W {wait} {options} {BobAt(inner6)}");

    /// <summary>The path MTU of the SA moon → sun in `espalier stat` of moon's daemon.</summary>
    public long PathMtu() => PathMtu(MoonToSun);

    /// <summary>That of another SA.</summary>
    public long PathMtu(uint spi) => (long)MoonDaemon.Stat()["associations"]!.AsArray().First(a => Convert.ToUInt32((string)a!["spi"]!, 16) == spi)!["pathMtu"]!;

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = _owned.Count - 1; i >= 0; i--)
        {
            _owned[i].Dispose();
        }
    }

    private NetworkNamespace Host(string role, bool forwards = false)
    {
        var host = Own(NetworkNamespace.CreateStrict(role, forwards));
        host.Sysctl("ipv4/ping_group_range", "0 0");
        return host;
    }

    private static void Routes(NetworkNamespace host, string destination, string via4, string via6)
    {
        host.Ip($"route add {destination} via {via4}");
        host.Ip($"-6 route add {destination} via {via6}");
    }

    private T Own<T>(T owned)
        where T : IDisposable
    {
        _owned.Add(owned);
        return owned;
    }
}
