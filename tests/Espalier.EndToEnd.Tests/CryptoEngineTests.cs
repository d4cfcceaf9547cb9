using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>The published program with each crypto engine, against the default one.</summary>
public sealed class CryptoEngineTests
{
    private const string K20 = "000102030405060708090a0b0c0d0e0f10111213", K36 = K20 + "1415161718191a1b1c1d1e1f20212223";

    [Theory]
    [InlineData("openssl")]
    [InlineData("ipsec-mb")]
    [InlineData("bouncycastle")]
    public void Tunnel_EngineOnOneSide_TalksToSystemOnTheOther(string engine)
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts();
        hosts.RestartSun("--crypto", engine);
        Assert.Equal(engine, (string?)hosts.SunDaemon.Stat()["crypto"]!["engine"]);
        Assert.Equal("system", (string?)hosts.MoonDaemon.Stat()["crypto"]!["engine"]);
        Assert.Contains("--crypto", hosts.MoonDaemon.Log, StringComparison.Ordinal); // The start line names a faster engine.
        string[] algorithms =
        [
            $"aead rfc4106(gcm(aes)) 0x{K20} 64", $"aead rfc4106(gcm(aes)) 0x{K20} 128", $"aead rfc4106(gcm(aes)) 0x{K36} 96",
            $"aead rfc4543(gcm(aes)) 0x{K20} 128", $"aead rfc7539esp(chacha20,poly1305) 0x{K36} 128", $"enc cbc(aes) 0x{K20[..32]} auth hmac(sha1) 0x{K20}",
        ];
        foreach (string algorithm in algorithms)
        {
            hosts.Key(outer6: false, inner6: false, udp: true, algorithm);
            hosts.Moon.Sh("ping -c 3 -i 0.01 -W 2 -s 1000 -I 10.1.0.1 10.2.0.1").Expect();
            foreach (var daemon in new[] { hosts.MoonDaemon, hosts.SunDaemon })
            {
                daemon.Exec("ip xfrm state flush").Expect();
                daemon.Exec("ip xfrm policy flush").Expect();
            }
        }
    }
    [Fact]
    public void WithoutOpenSsl_DoctorAndRun_NameThePackage()
    {
        Requirements.Need("unshare", "ldconfig");
        using var host = NetworkNamespace.Create("bare");
        using var terminal = new Terminal(host);
        terminal.Type("for library in $(ldconfig -p | grep -oE '/.*lib(ssl|crypto)\\.so.*'); do mount --bind /dev/null $(realpath $library); done");

        string doctor = terminal.Type($"{EspalierProgram.Path} doctor || test $? = 1");
        string run = terminal.Type($"{EspalierProgram.Path} run --control @bare || test $? = 1");

        Assert.Matches("PROBLEM +crypto +no engine can be used: .*libssl3", doctor);
        Assert.Matches("^espalier run: [^\n]*libssl3[^\n]*\n$", run);
    }
}
