using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// A client that people use, with an ESP of its own: openconnect. A gateway of GlobalProtect (OpenConnect/gateway.py) hands out the keys; its ESP is Espalier's, keyed by
/// `ip xfrm`.
/// <code>
///  moon: gateway.py, a daemon                       carol: openconnect
///  10.1.0.1, fd01::1 (lo)                           oc0 10.9.0.2, fd09::2
///  eth0 192.168.0.1, fec0::1 ───────── veth ─────── eth0 192.168.0.2, fec0::2
///        HTTPS, ESP in UDP at port 4501
/// </code>
/// </summary>
public sealed class OpenConnectTests : IDisposable
{
    private const int Sessions = 2;
    private readonly List<Process> _processes = [];
    private readonly StringBuilder _printed = new();
    private NetworkNamespace? _moon, _carol;
    private EspalierProgram? _daemon;
    private TemporaryFolder? _folder;

    [Theory]
    [InlineData(false, "aes-128-cbc", 16, "sha1", 20, 96)]
    [InlineData(true, "aes-256-cbc", 32, "sha256", 32, 128)]
    public void Client_WithEspOfItsOwn_CarriesEverySizeBothWaysAndRekeys(bool outer6, string cipher, int cipherKey, string mac, int macKey, int icv)
    {
        Requirements.Need("ping", "nft", "openconnect", "/usr/bin/python3");
        string near = TwoHosts.Outer(1, outer6), far = TwoHosts.Outer(2, outer6);
        MakeHosts();
        TwoHosts.Protect(_daemon!, "10.1.0.0/16", "10.9.0.2/32", near, far);
        TwoHosts.Protect(_daemon!, "fd01::/64", "fd09::2/128", near, far);
        string pin = StartGateway(near, number => Session(number, near, far, outer6, (cipher, cipherKey), (mac, macKey, icv)));
        StartClient(outer6 ? $"[{near}]" : near, pin);

        // Rekeyed under way. The number 0 of the new SA may be a ping's.
        Wait.Until(() => Pinged(_carol!, "-W 1 10.1.0.1") && Packets(Sessions).Out > 0, () => Printed);
        foreach (int size in (ReadOnlySpan<int>)[0, 13, 14, 15, 1280, 3000])
        {
            string text = size.ToString(CultureInfo.InvariantCulture);
            Assert.True(Pinged(_carol!, $"-W 10 -s {text} 10.1.0.1"), text);
            Assert.True(Pinged(_carol!, $"-W 10 -s {text} fd01::1"), text);
            Assert.True(Pinged(_moon!, $"-W 10 -s {text} -I 10.1.0.1 10.9.0.2"), text);
            Assert.True(Pinged(_moon!, $"-W 10 -s {text} -I fd01::1 fd09::2"), text);
        }

        // openconnect numbers its packets from 0, which RFC 4303 §2.2 has nobody send: the first of each SA is dropped, as by the kernel.
        var stat = _daemon!.Stat();
        Assert.Equal([("InboundOutsideReplayWindow", Sessions)], stat["drops"]!.AsObject().Select(drop => (drop.Key, (int)drop.Value!)).Where(drop => drop.Item2 > 0));
        Assert.Equal(0, (long)stat["counters"]!["unusualPadding"]!);
        Assert.All(Enumerable.Range(1, Sessions), number => Assert.True(Packets(number) is { In: > 0, Out: > 0 }, $"{number}\n{stat}"));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // The client first, which asks the gateway.
        foreach (var process in Enumerable.Reverse(_processes))
        {
            process.Kill();
            process.WaitForExit();
            process.Dispose();
        }

        _daemon?.Dispose();
        _moon?.Dispose();
        _carol?.Dispose();
        _folder?.Dispose();
    }

    private string Printed
    {
        get
        {
            lock (_printed)
            {
                return _printed.ToString();
            }
        }
    }

    private static uint In(int session) => 0x1000 + (uint)session;

    private static uint Out(int session) => 0x2000 + (uint)session;

    private static bool Pinged(NetworkNamespace host, string words) =>
        host.Sh($"ping -c 1 {words}") is { ExitCode: 0 } ping && !ping.Output.Contains("wrong data", StringComparison.Ordinal);

    private void MakeHosts()
    {
        _folder = new TemporaryFolder("openconnect");
        _moon = NetworkNamespace.Create("moon");
        _carol = NetworkNamespace.Create("carol");
        _moon.LinkTo(_carol, "eth0", ["192.168.0.1/24", "fec0::1/64"], ["192.168.0.2/24", "fec0::2/64"]);
        _moon.Ip("addr add 10.1.0.1/16 dev lo");
        _moon.Ip("addr add fd01::1/64 dev lo nodad");

        // The client's TUN gets no link-local address: from it, the kernel sends what no policy covers.
        _carol.Sysctl("ipv6/conf/default/addr_gen_mode", "1");
        _daemon = EspalierProgram.Start(_moon);
    }

    /// <summary>Starts the gateway, and gives what openconnect knows it by.</summary>
    private string StartGateway(string address, Func<int, string> session)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=moon", key, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        string pem = _folder!.Write("moon.pem", certificate.ExportCertificatePem() + "\n" + key.ExportPkcs8PrivateKeyPem() + "\n");
        string script = Path.Combine(EspalierProgram.Root(), "tests/Espalier.EndToEnd.Tests/OpenConnect/gateway.py");
        var gateway = Shell.Start(["ip", "netns", "exec", _moon!.Name, "/usr/bin/python3", script, address, pem], fed: true);
        _processes.Add(gateway);
        int sessions = 0;
        gateway.OutputDataReceived += (_, line) =>
        {
            Print(line.Data);
            if (line.Data == "config")
            {
                gateway.StandardInput.WriteLine(session(++sessions));
            }
        };
        gateway.BeginOutputReadLine();
        Keep(gateway, output: false);
        Wait.Until(() => Printed.Contains("ready\n", StringComparison.Ordinal), () => Printed);
        return "pin-sha256:" + Convert.ToBase64String(SHA256.HashData(certificate.PublicKey.ExportSubjectPublicKeyInfo()));
    }

    private void StartClient(string gateway, string pin)
    {
        string script = _folder!.Write("script", """
            if [ "$reason" = connect ]; then
              ip link set dev $TUNDEV mtu $INTERNAL_IP4_MTU up
              ip address add 10.9.0.2/32 dev $TUNDEV
              ip address add fd09::2/128 dev $TUNDEV nodad
              ip route add 10.1.0.0/16 dev $TUNDEV
              ip route add fd01::/64 dev $TUNDEV
            fi

            """);
        var client = Shell.Start([
            "ip", "netns", "exec", _carol!.Name, Requirement.Find("openconnect")!, "--protocol=gp", "--cookie=authcookie=1&portal=p&user=u&domain=d&computer=c",
            $"--servercert={pin}", "--dtls-local-port=4501", "--interface=oc0", $"--script=sh {script}", gateway,
        ]);
        _processes.Add(client);
        Keep(client, output: true);
        Wait.Until(() => client.HasExited || _carol.Sh("ip route show dev oc0").Output.Contains("10.1.0.0/16", StringComparison.Ordinal), () => Printed);
        Assert.False(client.HasExited, Printed);
    }

    private void Keep(Process process, bool output)
    {
        DataReceivedEventHandler keep = (_, line) => Print(line.Data);
        process.ErrorDataReceived += keep;
        process.BeginErrorReadLine();
        if (output)
        {
            process.OutputDataReceived += keep;
            process.BeginOutputReadLine();
        }
    }

    private void Print(string? line)
    {
        lock (_printed)
        {
            _printed.Append(line).Append('\n');
        }
    }

    /// <summary>Installs two new SAs, and tells of them in the gateway's language. A client asks for new ones a minute before `timeout` is over.</summary>
    private string Session(int number, string near, string far, bool outer6, (string Name, int Key) cipher, (string Name, int Key, int Icv) mac)
    {
        string encap = $"encap espinudp 4501 4501 {(outer6 ? "::" : "0.0.0.0")}";
        string[] ciphers = [Key(cipher.Key), Key(cipher.Key)], macs = [Key(mac.Key), Key(mac.Key)];
        Add(far, near, In(number), 0);
        Add(near, far, Out(number), 1);
        return $"""
            <ip-address>10.9.0.2</ip-address><netmask>255.255.255.255</netmask><ip-address-v6>fd09::2</ip-address-v6><mtu>0</mtu>
            <gw-address>10.1.0.1</gw-address><gw-address-v6>fd01::1</gw-address-v6><timeout>{(number < Sessions ? 62 : 36000)}</timeout>
            <ipsec><udp-port>4501</udp-port><ipsec-mode>esp-tunnel</ipsec-mode><enc-algo>{cipher.Name}</enc-algo><hmac-algo>{mac.Name}</hmac-algo>
            <c2s-spi>0x{In(number):x8}</c2s-spi><s2c-spi>0x{Out(number):x8}</s2c-spi>
            {Element("ekey-c2s", ciphers[0])}{Element("ekey-s2c", ciphers[1])}{Element("akey-c2s", macs[0])}{Element("akey-s2c", macs[1])}</ipsec>
            """.ReplaceLineEndings("");

        void Add(string source, string destination, uint spi, int key) => Print(_daemon!.Exec(
            $"ip xfrm state add src {source} dst {destination} proto esp spi {spi} reqid 1 mode tunnel flag af-unspec replay-window 64 enc cbc(aes) 0x{ciphers[key]} " +
            $"auth-trunc hmac({mac.Name}) 0x{macs[key]} {mac.Icv} {encap}").Text);
        static string Key(int bytes) => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(bytes));
        static string Element(string name, string key) => $"<{name}><bits>{key.Length * 4}</bits><val>{key}</val></{name}>";
    }

    private (long In, long Out) Packets(int session)
    {
        var list = _daemon!.Stat()["associations"]!.AsArray();
        long Of(uint spi) => (long?)list.FirstOrDefault(sa => (string?)sa!["spi"] == $"0x{spi:x8}")?["packets"] ?? 0;
        return (Of(In(session)), Of(Out(session)));
    }
}
