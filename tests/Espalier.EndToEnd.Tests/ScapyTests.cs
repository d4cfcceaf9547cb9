using System.Diagnostics;
using System.Text.Json;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// A peer that shares nothing with us: the IPsec module of scapy, with the cryptography of Python. It decrypts each ping and answers with a packet of its own making, so
/// that what both directions carry is judged by ping.
/// <code>
///  moon, a daemon                                   peer: Scapy/peer.py, on a packet socket
///  10.1.0.1, fd01::1 (lo)                           10.2.0.1, fd02::1 are nobody's: it answers for them
///  eth0 192.168.0.1, fec0::1 ───────── veth ─────── eth0 192.168.0.2, fec0::2
/// </code>
/// </summary>
public sealed class ScapyTests : IDisposable
{
    private const uint High = 3;
    private const string K16 = "000102030405060708090a0b0c0d0e0f", K32 = K16 + "101112131415161718191a1b1c1d1e1f", K64 = K32 + K32;

    private static readonly (string Cipher, string CipherName, string Key, string Mac, string MacName, string MacKey, int Icv)[] Algorithms =
    [
        ("rfc4106(gcm(aes))", "AES-GCM", K16 + "10111213", "", "", "", 128), ("rfc4106(gcm(aes))", "AES-GCM", K32 + "20212223", "", "", "", 128),
        ("rfc4309(ccm(aes))", "AES-CCM", K16 + "101112", "", "", "", 128), ("rfc7539esp(chacha20,poly1305)", "CHACHA20-POLY1305", K32 + "20212223", "", "", "", 128),
        ("cbc(aes)", "AES-CBC", K16, "hmac(sha1)", "HMAC-SHA1-96", K16 + "10111213", 96), ("cbc(aes)", "AES-CBC", K32, "hmac(sha256)", "SHA2-256-128", K32, 128),
        ("rfc3686(ctr(aes))", "AES-CTR", K16 + "10111213", "hmac(sha384)", "SHA2-384-192", K32 + K16, 192),
        ("ecb(cipher_null)", "NULL", "", "hmac(sha512)", "SHA2-512-256", K64, 256), ("cbc(des3_ede)", "3DES", K16 + "1011121314151617", "cmac(aes)", "AES-CMAC-96", K16, 96),
    ];

    private readonly List<Sa> _associations = [];
    private NetworkNamespace? _moon, _peer;
    private EspalierProgram? _daemon;
    private Process? _scapy;

    [Fact]
    public void Ping_AnsweredByScapy_IsRightForEveryAlgorithmAndHeader()
    {
        Requirements.Need("ping", "nft", "/usr/bin/python3");
        Assert.SkipUnless(File.Exists("/usr/lib/python3/dist-packages/scapy/layers/ipsec.py"), "needs python3-scapy");
        Assert.SkipUnless(Directory.Exists("/usr/lib/python3/dist-packages/cryptography"), "needs python3-cryptography");
        Start();

        for (int i = 0; i < _associations.Count; i++)
        {
            var sa = _associations[i];
            Key(sa);
            foreach (int size in (ReadOnlySpan<int>)[0, 1, 2, 3, 12, 255, 1200])
            {
                var ping = _moon!.Sh($"ping -c 1 -W 5 -s {size} {(sa.Inner6 ? "-6 -I fd01::1 fd02::1" : "-I 10.1.0.1 10.2.0.1")}");
                Assert.True(
                    ping.ExitCode == 0 && !ping.Output.Contains("wrong data", StringComparison.Ordinal), $"{sa} {size}\n{ping.Text}\n{_daemon!.Stat()["drops"]}");
            }
        }

        // Each answer of these SAs has at least 16 bytes of zeros as padding.
        Assert.Equal(_associations.Count(sa => sa.Unusual) * 7, (long)_daemon!.Stat()["counters"]!["unusualPadding"]!);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _scapy?.Kill();
        _scapy?.Dispose();
        _daemon?.Dispose();
        _moon?.Dispose();
        _peer?.Dispose();
    }

    private void Start()
    {
        _moon = NetworkNamespace.Create("moon");
        _peer = NetworkNamespace.Create("peer");
        _moon.LinkTo(_peer, "eth0", ["192.168.0.1/24", "fec0::1/64"], ["192.168.0.2/24", "fec0::2/64"], 1500);
        _moon.Ip("addr add 10.1.0.1/32 dev lo");
        _moon.Ip("addr add fd01::1/128 dev lo nodad");

        // The kernel of the peer only answers for its address on the link. No super-packets: the packet socket would get them whole.
        _peer.Sh("nft add table inet t").Expect();
        Shell.Run(["ip", "netns", "exec", _peer.Name, "nft", "add", "chain", "inet", "t", "i", "{ type filter hook input priority 0 ; }"]).Expect();
        _peer.Sh("nft add rule inet t i meta l4proto { udp, esp } drop").Expect();
        _daemon = EspalierProgram.Start(_moon, "--no-udp-gso");

        for (int i = 0; i < Algorithms.Length; i++)
        {
            // Outer and inner family, encapsulation: all eight in turn. scapy 2.5 has extended sequence numbers for AEAD alone.
            _associations.Add(new Sa(i, (uint)(0x2001 + i), (uint)(0x1001 + i), (i & 1) != 0, (i & 2) != 0, (i & 4) != 0, Algorithms[i].Mac.Length == 0 && i % 2 == 1, i % 2 == 0));
        }

        string sas = JsonSerializer.Serialize(_associations.Select(sa => new
        {
            spi = sa.Out,
            back = sa.In,
            crypt = Algorithms[sa.Algorithm].CipherName,
            key = NullIfEmpty(Algorithms[sa.Algorithm].Key),
            auth = NullIfEmpty(Algorithms[sa.Algorithm].MacName),
            authKey = NullIfEmpty(Algorithms[sa.Algorithm].MacKey),
            high = sa.Esn ? High : (uint?)null,
            unusual = sa.Unusual,
        }));
        string script = Path.Combine(EspalierProgram.Root(), "tests/Espalier.EndToEnd.Tests/Scapy/peer.py");
        _scapy = Shell.Start(["ip", "netns", "exec", _peer.Name, "/usr/bin/python3", script, "eth0", sas]);
        if (_scapy.StandardOutput.ReadLine() != "ready")
        {
            Assert.Fail(_scapy.StandardError.ReadToEnd());
        }
    }

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;

    private void Key(Sa sa)
    {
        var (cipher, _, key, mac, _, macKey, icv) = Algorithms[sa.Algorithm];
        string algorithms = mac.Length == 0 ? $"aead {cipher} 0x{key} {icv}" : $"enc {cipher} 0x{key} auth-trunc {mac} 0x{macKey} {icv}";
        string encap = sa.Udp ? $"encap espinudp 4500 4500 {(sa.Outer6 ? "::" : "0.0.0.0")}" : "";
        string window = sa.Esn ? $"flag esn replay-window 64 replay-seq-hi {High} replay-oseq-hi {High}" : "replay-window 32";
        string near = TwoHosts.Outer(1, sa.Outer6), far = TwoHosts.Outer(2, sa.Outer6);
        _daemon!.Exec("ip xfrm policy flush").Expect();
        _daemon.Exec("ip xfrm state flush").Expect();
        _daemon.Exec($"ip xfrm state add src {near} dst {far} proto esp spi {sa.Out} reqid 1 mode tunnel {window} {algorithms} {encap}").Expect();
        _daemon.Exec($"ip xfrm state add src {far} dst {near} proto esp spi {sa.In} reqid 1 mode tunnel {window} {algorithms} {encap}").Expect();
        TwoHosts.Protect(_daemon, TwoHosts.Net(1, sa.Inner6), TwoHosts.Net(2, sa.Inner6), near, far);
    }

    private sealed record Sa(int Algorithm, uint Out, uint In, bool Outer6, bool Inner6, bool Udp, bool Esn, bool Unusual);
}
