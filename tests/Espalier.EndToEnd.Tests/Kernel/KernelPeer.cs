using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests.Kernel;

/// <summary>What one end says of an SA: bytes and packets that it carried, and its last sequence number.</summary>
public sealed record SaCount(long Bytes, long Packets, long LastSequence);

/// <summary>
/// A host with the published daemon, a guest whose peer is its own kernel, and a router between them: `ip xfrm` on both. Addresses and SPIs are those of
/// <see cref="Gateways"/>.
/// <code>
///  moon: Espalier                                                             sun: Linux in QEMU
///  10.1.0.1, fd01::1 (lo)                                                     10.2.0.1, fd02::1 (lo)
///  wana 192.168.0.1    ─── veth ─── wana router tap0 ─── virtio-net ───       eth0 192.168.1.2
///       fec0:0:0:a::1               .254, ::fe   .254, ::fe                        fec0:0:0:b::2
/// </code>
/// </summary>
public sealed partial class KernelPeer : IDisposable
{
    private const int EchoPort = 7;

    private readonly KernelGuest _guest;
    private bool _isRouterChanged;

    /// <summary>Boots the guest and starts the daemon.</summary>
    public KernelPeer()
        : this(ike: false)
    {
    }

    /// <summary>The same; with <paramref name="ike"/> charon runs in the guest, and the two ends are keyed by it alone.</summary>
    internal KernelPeer(bool ike)
    {
        GuestImage.Need();
        Requirements.Need("ping", "tcpdump", "nft", "ethtool");
        Moon = NetworkNamespace.CreateStrict("moon");
        Router = NetworkNamespace.CreateStrict("router", forwards: true);
        _guest = new KernelGuest(Router, "tap0", ike);
        Moon.LinkTo(Router, "wana", ["192.168.0.1/24", "fec0:0:0:a::1/64"], ["192.168.0.254/24", "fec0:0:0:a::fe/64"]);
        Moon.Sh("ethtool -K wana tx-udp-segmentation off").Expect();
        foreach (string address in new[] { "192.168.1.254/24 dev tap0", "fec0:0:0:b::fe/64 dev tap0 nodad" })
        {
            Router.Ip($"address add {address}");
        }

        foreach (string line in new[]
        {
            "address add 10.1.0.1/16 dev lo", "address add fd01::1/64 dev lo nodad", "route add default via 192.168.0.254", "-6 route add default via fec0:0:0:a::fe",
        })
        {
            Moon.Ip(line);
        }

        Daemon = EspalierProgram.Start(Moon);
        _guest.Run("echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_dad");
        _guest.Ip("""
            link set lo up
            link set eth0 up
            address add 192.168.1.2/24 dev eth0
            address add fec0:0:0:b::2/64 dev eth0 nodad
            address add 10.2.0.1/16 dev lo
            address add fd02::1/64 dev lo nodad
            route add default via 192.168.1.254
            route add default via fec0:0:0:b::fe
            route add 10.1.0.0/16 dev eth0 via 192.168.1.254 src 10.2.0.1
            route add fd01::/64 dev eth0 via fec0:0:0:b::fe src fd02::1
            """);
        if (ike)
        {
            _guest.Run($"{CharonFiles.Daemon} >/dev/null 2>&1 & until [ -e /tmp/vici ]; do usleep 10000; kill -0 $! || exit; done");
            _guest.Run($"swanctl --load-all --uri {CharonFiles.GuestVici}");
            return;
        }

        _guest.Run($"{GuestImage.EncapsulationSockets} & {GuestImage.Reflector} & nc -ll -p {EchoPort} -e cat >/dev/null 2>&1 &");
        _guest.Run($"until netstat -ltn | grep -q ':{EchoPort} ' && [ $(netstat -lun | grep -c -e ':4500 ' -e ':{EchoPort} ') = 4 ]; do usleep 10000; done");
    }

    /// <summary>Moon's daemon.</summary>
    public EspalierProgram Daemon { get; }

    /// <summary>The host of the daemon.</summary>
    public NetworkNamespace Moon { get; }

    /// <summary>The router between both.</summary>
    public NetworkNamespace Router { get; }

    /// <summary>What the kernel says of its two SAs, sun's first.</summary>
    public string KernelStates() => _guest.Run($"{GuestImage.Ip} -s xfrm state");

    /// <summary>Runs a shell command in the guest and returns what it printed; the test fails where its exit code is not 0.</summary>
    public string InGuest(string command) => _guest.Run(command);

    /// <summary>What both ends count of an SA, as the one that sends and the one that receives by it show it.</summary>
    public (SaCount Daemon, SaCount Kernel) Counts(uint spi)
    {
        bool sends = spi == Gateways.MoonToSun;
        return (Count(Daemon.Exec("ip -s xfrm state").Expect().Output, spi, sends), Count(KernelStates(), spi, !sends));
    }

    /// <summary>The sum of the kernel's /proc/net/xfrm_stat, which counts errors only.</summary>
    public long KernelErrors() => _guest.Run("cat /proc/net/xfrm_stat").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
        .Where((_, index) => index % 2 == 1).Sum(number => long.Parse(number, CultureInfo.InvariantCulture));

    /// <summary>What comes out of the tunnel to moon.</summary>
    public PacketCapture AtMoon(bool inner6) => new(Moon, "esp0", $"udp and src host {TwoHosts.Inner(2, inner6)}");

    /// <summary>ESP as it comes to the router from moon, or from sun.</summary>
    public PacketCapture AtRouter(bool fromMoon, bool outer6) => new(
        Router, fromMoon ? "wana" : "tap0", $"(udp port 4500 or ip proto 50 or ip6 proto 50) and src host {Outer(fromMoon ? 1 : 2, outer6)}");

    /// <summary>Makes the router send what it captured, IPv4, once more.</summary>
    public void ForwardAgain(PacketCapture captured, string destination)
    {
        ArgumentNullException.ThrowIfNull(captured);
        RawPacket.Send(Router, IPAddress.Parse(destination), [.. captured.Frames().Select(frame => frame[14..(14 + IpHeader.Of(frame).Length)])]);
    }

    /// <summary>Makes the router change what it forwards from one of both: statements of nftables.</summary>
    public void OnRouter(bool fromMoon, params string[] statements)
    {
        _isRouterChanged = true;
        string rule = $"iif {(fromMoon ? "wana" : "tap0")} {string.Join(' ', statements)}";
        Shell.Run([.. InRouter(), "nft", $"add table inet t; delete table inet t; add table inet t; add chain inet t f {{ type filter hook forward priority 0; }}; add rule inet t f {rule}"])
            .Expect();
    }

    // The router forwards all as it came, whatever its size, and both ends forget what they learnt.
    private void ResetRouter()
    {
        _isRouterChanged = false;
        Router.Sh("nft flush ruleset").Expect();
        Router.Sh($"ip route del {Gateways.MoonAt(false)}");
        Router.Sh($"ip route del {Gateways.SunAt(false)}");
        Router.Sh($"ip -6 route del {Gateways.MoonAt(true)}");
        Router.Sh($"ip -6 route del {Gateways.SunAt(true)}");
        Moon.Sh("ip route flush cache").Expect();
        Moon.Sh("ip -6 route flush cache").Expect();
        _guest.Run($"{GuestImage.Ip} route flush cache; {GuestImage.Ip} -6 route flush cache");
    }

    /// <summary>Makes the link that the router sees behind it, to moon or to sun, carry packets of this size only.</summary>
    public void Narrow(bool toMoon, bool outer6, int mtu)
    {
        _isRouterChanged = true;
        Router.Ip($"{(outer6 ? "-6 " : "")}route replace {Outer(toMoon ? 1 : 2, outer6)} dev {(toMoon ? "wana" : "tap0")} mtu lock {mtu}");
    }

    /// <summary>Sends bytes to the guest by TCP, which sends them back, and compares.</summary>
    public bool EchoesByTcp(bool inner6, int bytes)
    {
        byte[] sent = RandomNumberGenerator.GetBytes(bytes), back = new byte[bytes];
        using var socket = Socket(inner6, SocketType.Stream, ProtocolType.Tcp);
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

    /// <summary>Sends a UDP datagram to the guest, which answers it. Returns the traffic class that the guest saw, and the answer's UDP payload length; 0 where it could not send that much.</summary>
    public (int TrafficClass, int Length) Reflect(bool inner6, Reflection wanted)
    {
        using var socket = Send(inner6, wanted);
        byte[] answer = new byte[2000];
        int length = socket.Receive(answer);
        return (answer[0], answer[1] == 0 ? length : 0);
    }

    /// <summary>Sends such datagrams until the guest says that it could not send an answer of that length; false where it does not.</summary>
    public bool IsRefused(bool inner6, Reflection wanted)
    {
        using var socket = Send(inner6, wanted);
        byte[] answer = new byte[2000];
        return Wait.For(() =>
        {
            if (!socket.Poll(500_000, SelectMode.SelectRead))
            {
                Request(socket, inner6, wanted);    // the answer was lost where it did not fit
                return false;
            }

            return socket.Receive(answer) > 0 && answer[1] == 1;
        });
    }

    /// <summary>The same datagram where an answer may be lost: false where it did not come until <paramref name="lost"/> holds.</summary>
    public bool IsReflected(bool inner6, Reflection wanted, Func<bool> lost)
    {
        using var socket = Send(inner6, wanted);
        Wait.Until(() => socket.Available > 0 || lost(), "an answer, or its loss");
        return socket.Available > 0;
    }

    /// <summary>Keys both sides with the same two SAs, and with policies for both inner versions. The router forwards all as it comes.</summary>
    public void Key(string algorithm, bool outer6 = false, bool udp = false, string extra = "")
    {
        if (_isRouterChanged)
        {
            ResetRouter();
        }

        string encapsulation = udp ? $"encap espinudp 4500 4500 {(outer6 ? "::" : "0.0.0.0")}" : "";
        string states = $"""
            xfrm state flush
            xfrm policy flush
            xfrm state add {Ends(1, 2, outer6, $"spi {Gateways.MoonToSun}")} mode tunnel flag af-unspec replay-window 32 {extra} {algorithm} {encapsulation}
            xfrm state add {Ends(2, 1, outer6, $"spi {Gateways.SunToMoon}")} mode tunnel flag af-unspec replay-window 32 {extra} {algorithm} {encapsulation}
            """;
        Gateways.Batch(Daemon, states + Policies(1, 2, outer6));
        _guest.Ip(states + Policies(2, 1, outer6));
    }

    /// <summary>Ping from moon to sun, until so many replies are there; a single one is asked for once.</summary>
    public ShellResult Ping(bool inner6, int size, int count = 1, string options = "") =>
        Moon.Sh($"ping -n -q -c {count} -i {(count == 1 ? "60" : "0.01")} -w 60 -s {size} {options} -I {TwoHosts.Inner(1, inner6)} {TwoHosts.Inner(2, inner6)}", seconds: 90);

    /// <summary>Ping from sun to moon, by busybox.</summary>
    public string PingFromKernel(bool inner6, int size) =>
        _guest.Try($"ping -q -c 1 -W 60 -s {size} -I {TwoHosts.Inner(2, inner6)} {TwoHosts.Inner(1, inner6)}").Output;

    /// <summary>The path MTU of the daemon's SA moon → sun.</summary>
    public long PathMtu() =>
        (long)Daemon.Stat()["associations"]!.AsArray().First(a => Convert.ToUInt32((string)a!["spi"]!, 16) == Gateways.MoonToSun)!["pathMtu"]!;

    /// <inheritdoc/>
    public void Dispose()
    {
        Daemon.Dispose();
        _guest.Dispose();
        Moon.Dispose();
        Router.Dispose();
    }

    private static string Outer(int host, bool ipv6) => host == 1 ? Gateways.MoonAt(ipv6) : Gateways.SunAt(ipv6);

    private static string Ends(int from, int to, bool outer6, string spi = "") =>
        $"src {Outer(from, outer6)} dst {Outer(to, outer6)} proto esp {spi} reqid 1";

    private static string Policies(int near, int far, bool outer6) => string.Concat(Policies(near, far, outer6, inner6: false), Policies(near, far, outer6, inner6: true));

    private static string Policies(int near, int far, bool outer6, bool inner6) => $"""

        xfrm policy add src {TwoHosts.Net(near, inner6)} dst {TwoHosts.Net(far, inner6)} dir out tmpl {Ends(near, far, outer6)} mode tunnel
        xfrm policy add src {TwoHosts.Net(far, inner6)} dst {TwoHosts.Net(near, inner6)} dir in tmpl {Ends(far, near, outer6)} mode tunnel
        xfrm policy add src {TwoHosts.Net(far, inner6)} dst {TwoHosts.Net(near, inner6)} dir fwd tmpl {Ends(far, near, outer6)} mode tunnel
        """;

    // Of `ip -s xfrm state`, where each SA starts with its source.
    private static SaCount Count(string states, uint spi, bool sends)
    {
        string state = states.Split("src ").Single(text => text.Contains($"spi 0x{spi:x8}", StringComparison.Ordinal));
        var carried = Carried().Match(state);
        string last = (sends ? SentText() : ReceivedText()).Match(state).Groups[1].Value;
        return new SaCount(Number(carried.Groups[1].Value), Number(carried.Groups[2].Value), Convert.ToInt64(last, 16));

        static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
    }

    private Socket Send(bool inner6, Reflection wanted)
    {
        var socket = Socket(inner6, SocketType.Dgram, ProtocolType.Udp);
        int level = inner6 ? 41 : 0;
        socket.SetRawSocketOption(level, inner6 ? 67 : 1, BitConverter.GetBytes(wanted.TrafficClass));       // IPV6_TCLASS, IP_TOS
        socket.SetRawSocketOption(level, inner6 ? 23 : 10, BitConverter.GetBytes(wanted.DontFragment ? 2 : 0)); // IPV6_MTU_DISCOVER, IP_MTU_DISCOVER
        Request(socket, inner6, wanted);
        return socket;
    }

    private static void Request(Socket socket, bool inner6, Reflection wanted)
    {
        byte[] request = [(byte)wanted.AnswerClass, (byte)(wanted.DontFragment ? 1 : 0), 0, 0];
        BinaryPrimitives.WriteUInt16BigEndian(request.AsSpan(2), (ushort)wanted.AnswerLength);
        socket.SendTo(request, new IPEndPoint(IPAddress.Parse(TwoHosts.Inner(2, inner6)), EchoPort));
    }

    private Socket Socket(bool inner6, SocketType type, ProtocolType protocol)
    {
        var socket = Moon.Run(() => new Socket(inner6 ? AddressFamily.InterNetworkV6 : AddressFamily.InterNetwork, type, protocol));
        socket.Bind(new IPEndPoint(IPAddress.Parse(TwoHosts.Inner(1, inner6)), 0));
        socket.SendTimeout = socket.ReceiveTimeout = 30_000;
        return socket;
    }

    private string[] InRouter() => ["ip", "netns", "exec", Router.Name];

    [GeneratedRegex(@"lifetime current:\s+(\d+)\(bytes\), (\d+)\(packets\)")]
    private static partial Regex Carried();

    [GeneratedRegex(@"oseq (0x[0-9a-f]+)")]
    private static partial Regex SentText();

    [GeneratedRegex(@"context:\s+(?:seq-hi 0x[0-9a-f]+, )?seq (0x[0-9a-f]+)")]
    private static partial Regex ReceivedText();
}

/// <summary>A datagram of 4 bytes, and what its answer is to be.</summary>
/// <param name="TrafficClass">The datagram's.</param>
/// <param name="AnswerClass">The answer's.</param>
/// <param name="DontFragment">Both must not be fragmented.</param>
/// <param name="AnswerLength">Payload of the answer.</param>
public sealed record Reflection(int TrafficClass = 0, int AnswerClass = 0, bool DontFragment = false, int AnswerLength = 4);
