using System.Globalization;
using System.Security.Cryptography;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Keys are in the daemon and in the answers to those who may ask for them: not in logs, statistics, core dumps or another user's reach.</summary>
public sealed class ConfidentialityTests
{
    private const string Aborted = "core dumped";

    [Theory]
    [InlineData("trace")]
    [InlineData("debug")]
    public void Keys_EverythingLogged_NeverShown(string level)
    {
        Requirements.Need("ping");
        using var hosts = new TwoHosts(1500, "--log-level", level);
        string aead = TwoHosts.GcmKey(), cipher = Key(16), mac = Key(32), wrong = Key(19), updated = TwoHosts.GcmKey();
        hosts.Key(outer6: false, inner6: false, udp: true, $"aead rfc4106(gcm(aes)) {aead} 128");
        const string Other = "src 192.168.0.1 dst 192.168.0.7 proto esp spi 0x200 reqid 7 mode tunnel";
        hosts.MoonDaemon.Exec($"ip xfrm state add {Other} enc cbc(aes) {cipher} auth-trunc hmac(sha256) {mac} 128").Expect();
        var refused = hosts.MoonDaemon.Exec($"ip xfrm state add {Other.Replace("0x200", "0x201", StringComparison.Ordinal)} aead rfc4106(gcm(aes)) {wrong} 128");
        Assert.NotEqual(0, refused.ExitCode);
        hosts.MoonDaemon.Exec($"ip xfrm state update {Other} aead rfc4106(gcm(aes)) {updated} 128");
        hosts.Moon.Sh("ping -c 2 -i 0.02 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
        string stat = hosts.MoonDaemon.Stat().ToJsonString()
            + hosts.Moon.Sh($"{EspalierProgram.Path} stat --control {hosts.MoonDaemon.Control}").Expect().Output;
        hosts.MoonDaemon.Exec("ip xfrm state flush").Expect();
        hosts.MoonDaemon.Stop();
        hosts.SunDaemon.Stop();

        string told = $"{hosts.MoonDaemon.Log}\n{hosts.SunDaemon.Log}\n{stat}\n{refused.Text}";
        Assert.Contains("Ready", hosts.MoonDaemon.Log, StringComparison.Ordinal);
        foreach (string key in new[] { aead, cipher, mac, wrong, updated })
        {
            byte[] bytes = Convert.FromHexString(key[2..]);
            foreach (string form in new[] { key[2..18], Convert.ToBase64String(bytes)[..16], string.Join(", ", bytes[..4]), BitConverter.ToString(bytes)[..12], string.Join(' ', bytes[..4].Select(b => b.ToString("x2", CultureInfo.InvariantCulture))) })
            {
                Assert.DoesNotContain(form, told, StringComparison.OrdinalIgnoreCase);
            }
        }
    }

    [Fact]
    public void Daemon_Aborted_LeavesNoCore()
    {
        Requirements.Need("setpriv");
        using var host = NetworkNamespace.Create("solo");
        string folder = Directory.CreateTempSubdirectory("espalier-core-").FullName;
        try
        {
            // The same machine, limits and signal: sleep leaves a core (where it does not, this machine cannot show anything here), the daemon none.
            string control = $"{folder}/control.sock";
            string daemon = $"{EspalierProgram.Path} run --control {control} --tun esp0 > {folder}/out 2>/dev/null & while ! grep -q ready {folder}/out; do sleep 0.02; done;";
            string other = Abort(host, folder, "sleep 5 &");
            foreach (string core in Directory.GetFiles(folder, "core*"))
            {
                File.Delete(core);
            }

            string own = Abort(host, folder, daemon);

            Assert.Contains("status 134", own, StringComparison.Ordinal);
            Assert.DoesNotContain(Aborted, own, StringComparison.OrdinalIgnoreCase);
            Assert.Empty(Directory.GetFiles(folder, "core*"));
            TestContext.Current.TestOutputHelper?.WriteLine($"sleep: {other.Trim()}; the daemon: {own.Trim()}");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void Daemon_OfAnotherUser_IsNotDumpable()
    {
        Requirements.Need("setpriv");
        using var host = NetworkNamespace.Create("solo");
        string folder = Directory.CreateTempSubdirectory("espalier-dump-").FullName;
        Shell.Run($"chmod 0777 {folder}").Expect();
        using var daemon = Shell.Start(["ip", "netns", "exec", host.Name, "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
            "--inh-caps", "+net_admin,+net_raw", "--ambient-caps", "+net_admin,+net_raw",
            EspalierProgram.Path, "run", "--control", $"{folder}/control.sock", "--tun", "esp0"]);
        try
        {
            string? first = daemon.StandardOutput.ReadLine();
            Assert.True(first == "ready", first is null ? daemon.StandardError.ReadToEnd() : first);

            // The kernel gives /proc/PID of a process that is not dumpable to root, whoever runs it.
            string pid = daemon.Id.ToString(CultureInfo.InvariantCulture);
            Assert.Contains("\t65534\t", File.ReadAllText($"/proc/{pid}/status"), StringComparison.Ordinal);
            Assert.Equal("0", Shell.Run($"stat -c %u /proc/{pid}/environ").Expect().Output.Trim());
            foreach (string file in new[] { "mem", "environ", "maps" })
            {
                Assert.NotEqual(0, Shell.Run($"setpriv --reuid 65534 --regid 65534 --clear-groups head -c 1 /proc/{pid}/{file}").ExitCode);
            }

            Assert.Matches("Max core file size +0 +0", File.ReadAllText($"/proc/{pid}/limits"));
        }
        finally
        {
            daemon.Kill();
            daemon.WaitForExit();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Abort(NetworkNamespace host, string folder, string start)
    {
        var result = Shell.Run(["ip", "netns", "exec", host.Name, "bash", "-c", $"cd {folder}; ulimit -c unlimited; {start} kill -ABRT $!; wait $!; echo status $?"]);
        return result.Text;
    }

    private static string Key(int length) => "0x" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(length));
}
