using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Kernel;

/// <summary>
/// A host with the published daemon, and a guest whose peer is its own kernel: `ip xfrm` on both. Addresses and SPIs are those of <see cref="TwoHosts"/>.
/// <code>
///  moon: Espalier                                  sun: Linux in QEMU
///  10.1.0.1, fd01::1 (lo)                          10.2.0.1, fd02::1 (lo)
///  tap0 192.168.0.1, fec0::1 ───── virtio-net ──── eth0 192.168.0.2, fec0::2
/// </code>
/// </summary>
public sealed class KernelPeer : IDisposable
{
    private const int EchoPort = 7;

    private readonly NetworkNamespace _moon;
    private readonly KernelGuest _guest;

    /// <summary>Boots the guest and starts the daemon.</summary>
    public KernelPeer()
    {
        GuestImage.Need();
        _moon = NetworkNamespace.Create("moon");
        _guest = new KernelGuest(_moon, "tap0");
        Daemon = EspalierProgram.Start(_moon);
        foreach (string address in new[] { "192.168.0.1/24 dev tap0", "fec0::1/64 dev tap0 nodad", "10.1.0.1/16 dev lo", "fd01::1/64 dev lo nodad" })
        {
            _moon.Ip($"address add {address}");
        }

        _guest.Run("echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad");
        _guest.Ip("""
            link set lo up
            link set eth0 up
            address add 192.168.0.2/24 dev eth0
            address add fec0::2/64 dev eth0 nodad
            address add 10.2.0.1/16 dev lo
            address add fd02::1/64 dev lo nodad
            route add 10.1.0.0/16 dev eth0 via 192.168.0.1 src 10.2.0.1
            route add fd01::/64 dev eth0 via fec0::1 src fd02::1
            """);
        _guest.Run($"{GuestImage.EncapsulationSockets} & nc -ll -p {EchoPort} -e cat >/dev/null 2>&1 &");
        _guest.Run($"until netstat -ltn | grep -q ':{EchoPort} ' && [ $(netstat -lun | grep -c ':4500 ') = 2 ]; do usleep 10000; done");
    }

    /// <summary>Moon's daemon.</summary>
    public EspalierProgram Daemon { get; }

    /// <summary>What the kernel says of its two SAs, sun's first.</summary>
    public string KernelStates() => _guest.Run($"{GuestImage.Ip} -s xfrm state");

    /// <summary>The sum of the kernel's /proc/net/xfrm_stat, which counts errors only.</summary>
    public long KernelErrors() => _guest.Run("cat /proc/net/xfrm_stat").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
        .Where((_, index) => index % 2 == 1).Sum(number => long.Parse(number, CultureInfo.InvariantCulture));

    /// <summary>Sends bytes to the guest by TCP, which sends them back, and compares.</summary>
    public bool EchoesByTcp(bool inner6, int bytes)
    {
        byte[] sent = RandomNumberGenerator.GetBytes(bytes), back = new byte[bytes];
        using var socket = _moon.Run(() => new Socket(inner6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp));
        socket.Bind(new IPEndPoint(IPAddress.Parse(TwoHosts.Inner(1, inner6)), 0));
        socket.SendTimeout = socket.ReceiveTimeout = 30_000;
        socket.Connect(new IPEndPoint(IPAddress.Parse(TwoHosts.Inner(2, inner6)), EchoPort));
        var sending = Task.Run(() => socket.Send(sent));
        for (int length = 0; length < bytes;)
        {
            int piece = socket.Receive(back.AsSpan(length));
            if (piece == 0)
            {
                return false;
            }

            length += piece;
        }

        return sending.GetAwaiter().GetResult() == bytes && sent.AsSpan().SequenceEqual(back);
    }

    /// <summary>Keys both sides with the same two SAs, and with policies for both inner versions.</summary>
    public void Key(string algorithm, bool outer6 = false, bool udp = false, string extra = "")
    {
        string encapsulation = udp ? $"encap espinudp 4500 4500 {(outer6 ? "::" : "0.0.0.0")}" : "";
        string states = $"""
            xfrm state flush
            xfrm policy flush
            xfrm state add {Ends(1, 2, outer6, $"spi {TwoHosts.MoonToSun}")} mode tunnel flag af-unspec replay-window 32 {extra} {algorithm} {encapsulation}
            xfrm state add {Ends(2, 1, outer6, $"spi {TwoHosts.SunToMoon}")} mode tunnel flag af-unspec replay-window 32 {extra} {algorithm} {encapsulation}
            """;
        Gateways.Batch(Daemon, states + Policies(1, 2, outer6));
        _guest.Ip(states + Policies(2, 1, outer6));
    }

    /// <summary>Ping from moon to sun, until so many replies are there; a single one is asked for once.</summary>
    public ShellResult Ping(bool inner6, int size, int count = 1) =>
        _moon.Sh($"ping -n -q -c {count} -i {(count == 1 ? "60" : "0.02")} -w 60 -s {size} -I {TwoHosts.Inner(1, inner6)} {TwoHosts.Inner(2, inner6)}", seconds: 90);

    /// <summary>Ping from sun to moon, by busybox.</summary>
    public string PingFromKernel(bool inner6, int size) =>
        _guest.Try($"ping -q -c 1 -W 60 -s {size} -I {TwoHosts.Inner(2, inner6)} {TwoHosts.Inner(1, inner6)}").Output;

    /// <inheritdoc/>
    public void Dispose()
    {
        Daemon.Dispose();
        _guest.Dispose();
        _moon.Dispose();
    }

    private static string Ends(int from, int to, bool outer6, string spi = "") =>
        $"src {TwoHosts.Outer(from, outer6)} dst {TwoHosts.Outer(to, outer6)} proto esp {spi} reqid 1";

    private static string Policies(int near, int far, bool outer6) => string.Concat(Policies(near, far, outer6, inner6: false), Policies(near, far, outer6, inner6: true));

    private static string Policies(int near, int far, bool outer6, bool inner6) => $"""

        xfrm policy add src {TwoHosts.Net(near, inner6)} dst {TwoHosts.Net(far, inner6)} dir out tmpl {Ends(near, far, outer6)} mode tunnel
        xfrm policy add src {TwoHosts.Net(far, inner6)} dst {TwoHosts.Net(near, inner6)} dir in tmpl {Ends(far, near, outer6)} mode tunnel
        xfrm policy add src {TwoHosts.Net(far, inner6)} dst {TwoHosts.Net(near, inner6)} dir fwd tmpl {Ends(far, near, outer6)} mode tunnel
        """;
}
