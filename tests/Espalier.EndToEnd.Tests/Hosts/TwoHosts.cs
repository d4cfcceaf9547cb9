using System.Security.Cryptography;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Hosts;

/// <summary>
/// Two hosts with a published daemon each.
/// <code>
///  moon                                             sun
///  10.1.0.1, fd01::1 (lo)                           10.2.0.1, fd02::1 (lo)
///  eth0 192.168.0.1, fec0::1 ───────── veth ─────── eth0 192.168.0.2, fec0::2
/// </code>
/// </summary>
public sealed class TwoHosts : IDisposable
{
    /// <summary>SPI of the SA moon → sun.</summary>
    public const uint MoonToSun = 0x10000001;

    /// <summary>SPI of the SA sun → moon.</summary>
    public const uint SunToMoon = 0x10000002;

    private readonly List<EspalierProgram> _daemons = [];

    /// <summary>Makes both hosts and starts both daemons.</summary>
    public TwoHosts(int mtu = 1500, params string[] options)
    {
        Moon = NetworkNamespace.Create("moon");
        Sun = NetworkNamespace.Create("sun");
        Moon.LinkTo(Sun, "eth0", ["192.168.0.1/24", "fec0::1/64"], ["192.168.0.2/24", "fec0::2/64"], mtu);
        Address(Moon, "1");
        Address(Sun, "2");
        MoonDaemon = Start(Moon, options);
        SunDaemon = Start(Sun, options);
    }

    /// <summary>The first host.</summary>
    public NetworkNamespace Moon { get; }

    /// <summary>The second host.</summary>
    public NetworkNamespace Sun { get; }

    /// <summary>Its daemon.</summary>
    public EspalierProgram MoonDaemon { get; private set; }

    /// <summary>Its daemon.</summary>
    public EspalierProgram SunDaemon { get; private set; }

    /// <summary>Stops the second host's daemon and starts one with these options.</summary>
    public void RestartSun(params string[] options)
    {
        SunDaemon.Stop();
        SunDaemon = Start(Sun, options);
    }

    /// <summary>Stops the first host's daemon and starts one by a launcher, with these options alone.</summary>
    public void RestartMoonUnder(string[] launcher, params string[] options)
    {
        MoonDaemon.Stop();
        MoonDaemon = EspalierProgram.StartUnder(Moon, launcher, options);
        _daemons.Add(MoonDaemon);
    }

    /// <summary>Key of AES-128-GCM with salt, as `ip xfrm` takes it.</summary>
    public static string GcmKey() => "0x" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(20));

    /// <summary>Outer address of a host (1 = moon, 2 = sun).</summary>
    public static string Outer(int host, bool ipv6) => ipv6 ? $"fec0::{host}" : $"192.168.0.{host}";

    /// <summary>Inner address of a host.</summary>
    public static string Inner(int host, bool ipv6) => ipv6 ? $"fd0{host}::1" : $"10.{host}.0.1";

    /// <summary>Inner network of a host.</summary>
    public static string Net(int host, bool ipv6) => ipv6 ? $"fd0{host}::/64" : $"10.{host}.0.0/16";

    /// <summary>
    /// Keys both hosts with the same two SAs and the policies for them.
    /// </summary>
    /// <param name="outer6">IPv6 outside.</param>
    /// <param name="inner6">IPv6 inside.</param>
    /// <param name="udp">UDP encapsulation.</param>
    /// <param name="algorithms">How `ip xfrm` names them, with keys; default AES-128-GCM with random keys.</param>
    /// <param name="extra">Further words of both SAs, before the algorithms.</param>
    public void Key(bool outer6, bool inner6, bool udp, string? algorithms = null, string extra = "replay-window 128")
    {
        Associate(outer6, udp, algorithms, extra);
        Protect(MoonDaemon, Net(1, inner6), Net(2, inner6), Outer(1, outer6), Outer(2, outer6));
        Protect(SunDaemon, Net(2, inner6), Net(1, inner6), Outer(2, outer6), Outer(1, outer6));
    }

    /// <summary>Installs the two SAs on both hosts.</summary>
    public void Associate(bool outer6, bool udp, string? algorithms = null, string extra = "replay-window 128")
    {
        string encap = udp ? $"encap espinudp 4500 4500 {(outer6 ? "::" : "0.0.0.0")}" : "";
        string[] keys = [algorithms ?? $"aead rfc4106(gcm(aes)) {GcmKey()} 128", algorithms ?? $"aead rfc4106(gcm(aes)) {GcmKey()} 128"];
        foreach (var daemon in new[] { MoonDaemon, SunDaemon })
        {
            daemon.Exec($"ip xfrm state add src {Outer(1, outer6)} dst {Outer(2, outer6)} proto esp spi {MoonToSun} reqid 1 mode tunnel {extra} {keys[0]} {encap}").Expect();
            daemon.Exec($"ip xfrm state add src {Outer(2, outer6)} dst {Outer(1, outer6)} proto esp spi {SunToMoon} reqid 1 mode tunnel {extra} {keys[1]} {encap}").Expect();
        }
    }

    /// <summary>Installs the policies out, in and fwd of one host for its network <paramref name="own"/> and the peer's <paramref name="other"/>.</summary>
    public static void Protect(EspalierProgram daemon, string own, string other, string near, string far)
    {
        daemon.Exec($"ip xfrm policy add src {own} dst {other} dir out tmpl src {near} dst {far} proto esp reqid 1 mode tunnel").Expect();
        daemon.Exec($"ip xfrm policy add src {other} dst {own} dir in tmpl src {far} dst {near} proto esp reqid 1 mode tunnel").Expect();
        daemon.Exec($"ip xfrm policy add src {other} dst {own} dir fwd tmpl src {far} dst {near} proto esp reqid 1 mode tunnel").Expect();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var daemon in _daemons)
        {
            daemon.Dispose();
        }

        Moon.Dispose();
        Sun.Dispose();
    }

    private EspalierProgram Start(NetworkNamespace host, string[] options)
    {
        var daemon = EspalierProgram.Start(host, options);
        _daemons.Add(daemon);
        return daemon;
    }

    private static void Address(NetworkNamespace host, string number)
    {
        host.Ip($"addr add 10.{number}.0.1/16 dev lo");
        host.Ip($"addr add fd0{number}::1/64 dev lo nodad");
    }
}
