using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Every algorithm by its `ip xfrm` name between two daemons, and tshark as an independent judge of what is on the wire.</summary>
public sealed class AlgorithmTests
{
    private const string K16 = "000102030405060708090a0b0c0d0e0f", K20 = K16 + "10111213", K24 = K16 + "1011121314151617",
        K32 = K16 + "101112131415161718191a1b1c1d1e1f", K36 = K32 + "20212223";

    public static TheoryData<string> All { get; } =
    [
        $"aead rfc4106(gcm(aes)) 0x{K20} 64", $"aead rfc4106(gcm(aes)) 0x{K20} 96", $"aead rfc4106(gcm(aes)) 0x{K20} 128",
        $"aead rfc4106(gcm(aes)) 0x{K24}20212223 128", $"aead rfc4106(gcm(aes)) 0x{K36} 128",
        $"aead rfc4543(gcm(aes)) 0x{K20} 128", $"aead rfc4309(ccm(aes)) 0x{K16}101112 64", $"aead rfc4309(ccm(aes)) 0x{K16}101112 128",
        $"aead rfc7539esp(chacha20,poly1305) 0x{K36} 128",
        $"enc cbc(aes) 0x{K16} auth hmac(sha1) 0x{K20}", $"enc cbc(aes) 0x{K32} auth-trunc hmac(sha256) 0x{K32} 128", $"enc cbc(aes) 0x{K16} auth hmac(sha256) 0x{K32}",
        $"enc cbc(aes) 0x{K24} auth-trunc hmac(sha384) 0x{K32}{K16} 192", $"enc cbc(aes) 0x{K32} auth-trunc hmac(sha512) 0x{K32}{K32} 256",
        $"enc rfc3686(ctr(aes)) 0x{K20} auth hmac(sha1) 0x{K20}", $"enc cbc(des3_ede) 0x{K24} auth hmac(md5) 0x{K16}",
        $"enc cbc(camellia) 0x{K16} auth-trunc hmac(sha256) 0x{K32} 128", $"enc ecb(cipher_null) 0x auth hmac(sha1) 0x{K20}",
        $"enc cbc(aes) 0x{K16} auth xcbc(aes) 0x{K16}", $"enc cbc(aes) 0x{K16} auth cmac(aes) 0x{K16}",
        $"enc aes 0x{K16} auth sha1 0x{K20}", $"enc des3_ede 0x{K24} auth md5 0x{K16}", $"enc cipher_null 0x auth sha256 0x{K32}",
    ];

    [Fact]
    public void Tunnel_EveryAlgorithm_CarriesPingBothWays()
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        foreach (string algorithms in All.Select(row => row.Data))
        {
            hosts.Key(outer6: false, inner6: false, udp: true, algorithms);
            hosts.Moon.Sh("ping -c 3 -i 0.01 -W 2 -s 1000 -I 10.1.0.1 10.2.0.1").Expect();
            foreach (var daemon in new[] { hosts.MoonDaemon, hosts.SunDaemon })
            {
                daemon.Exec("ip xfrm state flush").Expect();
                daemon.Exec("ip xfrm policy flush").Expect();
            }
        }
    }

    public static TheoryData<string, string, string, string, string> Judged { get; } = new()
    {
        { $"aead rfc4106(gcm(aes)) 0x{K20} 128", "AES-GCM with 16 octet ICV [RFC4106]", $"0x{K20}", "NULL", "" },
        { $"enc cbc(aes) 0x{K16} auth hmac(sha1) 0x{K20}", "AES-CBC [RFC3602]", $"0x{K16}", "HMAC-SHA-1-96 [RFC2404]", $"0x{K20}" },
        { $"enc cbc(aes) 0x{K32} auth-trunc hmac(sha256) 0x{K32} 128", "AES-CBC [RFC3602]", $"0x{K32}", "HMAC-SHA-256-128 [RFC4868]", $"0x{K32}" },
        { $"enc cbc(aes) 0x{K32} auth-trunc hmac(sha512) 0x{K32}{K32} 256", "AES-CBC [RFC3602]", $"0x{K32}", "HMAC-SHA-512-256 [RFC4868]", $"0x{K32}{K32}" },
        { $"enc rfc3686(ctr(aes)) 0x{K20} auth hmac(sha1) 0x{K20}", "AES-CTR [RFC3686]", $"0x{K20}", "HMAC-SHA-1-96 [RFC2404]", $"0x{K20}" },
        { $"enc cbc(des3_ede) 0x{K24} auth hmac(md5) 0x{K16}", "TripleDES-CBC [RFC2451]", $"0x{K24}", "HMAC-MD5-96 [RFC2403]", $"0x{K16}" },
        { $"enc ecb(cipher_null) 0x auth hmac(sha1) 0x{K20}", "NULL", "", "HMAC-SHA-1-96 [RFC2404]", $"0x{K20}" },
    };

    [Theory]
    [MemberData(nameof(Judged))]
    public void Wire_TsharkWithTheKeys_DecryptsAndFindsTheIcvGood(string algorithms, string cipher, string key, string mac, string macKey)
    {
        Requirements.Need("ping", "tshark", "tcpdump");
        using var hosts = new TwoHosts();
        hosts.Key(outer6: false, inner6: false, udp: true, algorithms);
        using var capture = new PacketCapture(hosts.Sun, "eth0", "udp port 4500");
        hosts.Moon.Sh("ping -c 3 -i 0.05 -W 2 -s 200 -I 10.1.0.1 10.2.0.1").Expect();
        string file = capture.Finish(atLeast: 6);

        string association = $"uat:esp_sa:\"IPv4\",\"*\",\"*\",\"*\",\"{cipher}\",\"{key}\",\"{mac}\",\"{macKey}\"";
        string[] command =
        [
            "tshark", "-r", file, "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE", "-o", association,
            "-T", "fields", "-e", "esp.sequence", "-e", "esp.icv_good", "-e", "icmp.type", "-e", "ip.src",
        ];
        string[] lines = Shell.Run(command).Expect().Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

        Assert.Equal(6, lines.Length);
        Assert.All(lines, line =>
        {
            string[] fields = line.Split('\t');
            // tshark checks an AEAD's ICV as part of decryption, a separate MAC in icv_good.
            Assert.True(fields[1] is "1" or "True" || mac == "NULL", line);
            Assert.True(fields[2] is "0" or "8", line);
            Assert.Contains("10.", fields[3], StringComparison.Ordinal);
        });
    }
}
