using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>What is left behind by a clean stop and by a crash, and what a start says when it cannot be.</summary>
public sealed class LifeCycleTests
{
    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    [InlineData("HUP")]
    [InlineData("QUIT")]
    public void Run_SignalledToStop_LeavesNothingBehind(string signal)
    {
        Requirements.Need("nft");
        using var host = NetworkNamespace.Create("solo");
        string before = Surroundings(host);
        using var daemon = EspalierProgram.Start(host);
        AddPolicy(daemon);
        Assert.NotEqual(before, Surroundings(host));

        Shell.Run($"kill -{signal} {daemon.Process.Id}").Expect();

        Assert.True(daemon.Process.WaitForExit(TimeSpan.FromSeconds(10)), daemon.Log);
        Assert.Equal(0, daemon.Process.ExitCode);
        Assert.Equal(before, Surroundings(host));
        Assert.False(File.Exists(daemon.Control));
    }

    [Fact]
    public void Run_Killed_ProtectedTrafficFailsClosedUntilRestartAndCleanStop()
    {
        Requirements.Need("ping", "nft");
        using var host = NetworkNamespace.Create("solo");
        using var peer = NetworkNamespace.Create("peer");
        host.LinkTo(peer, "eth0", ["192.168.0.1/24"], ["192.168.0.254/24"]);
        host.Ip("addr add 10.1.0.1/32 dev lo");
        host.Ip("route add default via 192.168.0.254");
        string before = Surroundings(host);
        using (var daemon = EspalierProgram.Start(host))
        {
            AddPolicy(daemon);
            daemon.Kill();
        }

        Assert.Matches("unreachable|No route to host", host.Sh("ip route get 10.2.0.1 from 10.1.0.1").Text);
        using var next = EspalierProgram.Start(host);
        Assert.DoesNotContain("unreachable", host.Ip("route get 10.2.0.1 from 10.1.0.1"), StringComparison.Ordinal);
        Assert.Equal(0, next.Stop());
        Assert.Equal(before, Surroundings(host));
    }

    [Fact]
    public void Run_SecondInstanceOnTheSameSocket_EndsWithOneLine()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);

        var second = host.Sh($"{EspalierProgram.Path} run --control {daemon.Control} --tun esp1 --encap-port 0");

        Assert.NotEqual(0, second.ExitCode);
        Assert.Single(second.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(daemon.Control, second.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_PortTaken_EndsWithOneLineAndLeavesNothing()
    {
        Requirements.Need("nft");
        using var host = NetworkNamespace.Create("solo");
        using var holder = EspalierProgram.Start(host);
        string before = Surroundings(host);
        string control = Path.Combine(Path.GetTempPath(), $"{host.Name}-b.sock");

        var second = host.Sh($"{EspalierProgram.Path} run --control {control} --tun esp1");

        Assert.NotEqual(0, second.ExitCode);
        Assert.Contains("4500", Assert.Single(second.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.Equal(before, Surroundings(host));
        Assert.False(File.Exists(control));
    }

    // A limit of threads, as systemd's TasksMax= or a container's pids limit: with 3 and 4 the thread of the signals and the control thread cannot be started.
    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    public void Run_NoThreadToBeHad_EndsWithOneLineAndLeavesNothing(int threads)
    {
        Requirements.Need("setpriv", "prlimit");
        using var host = NetworkNamespace.Create("solo");
        string control = Path.Combine(Path.GetTempPath(), $"{host.Name}.sock");
        int user = 64000 + (Environment.ProcessId % 1000); // whose threads are these alone

        // Which thread is the last one that starts is a matter of chance: that of the runtime's finalizer comes when it likes.
        for (int i = 0; i < 8; i++)
        {
            var refused = host.Sh($"setpriv --reuid {user} --regid {user} --clear-groups prlimit --nproc={threads}:{threads} {EspalierProgram.Path} run --control {control}");

            Assert.Equal((1, ""), (refused.ExitCode, refused.Output));
            Assert.Contains("thread", Assert.Single(refused.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
            Assert.False(Path.Exists(control));
        }
    }

    // Whatever the limit: a start that succeeds can be stopped in order.
    [Theory]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(10)]
    [InlineData(11)]
    [InlineData(12)]
    public void Run_FewThreadsToBeHad_EndsInOrder(int threads)
    {
        Requirements.Need("setpriv", "prlimit");
        using var host = NetworkNamespace.Create("solo");
        using var folder = new TemporaryFolder("few");
        int user = 65000 + (Environment.ProcessId % 500);
        string rules = host.Ip("rule show");

        var run = Shell.Run(["ip", "netns", "exec", host.Name, "sh", "-c", $"""
            setpriv --reuid {user} --regid {user} --clear-groups --inh-caps +net_admin,+net_raw --ambient-caps +net_admin,+net_raw \
                prlimit --nproc={threads}:{threads} {EspalierProgram.Path} run --control @{host.Name} > {folder.FilePath("out")} 2> {folder.FilePath("err")} &
            while kill -0 $! 2> /dev/null && ! grep -q ready {folder.FilePath("out")}; do sleep 0.02; done
            kill -TERM $! 2> /dev/null
            wait $!
            """]);

        string error = File.ReadAllText(folder.FilePath("err"));
        if (File.ReadAllText(folder.FilePath("out")) == "")
        {
            Assert.Contains("thread", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        }
        else
        {
            Assert.Contains("Stopped", error, StringComparison.Ordinal);
        }

        Assert.Equal(File.ReadAllText(folder.FilePath("out")) == "" ? 1 : 0, run.ExitCode);
        Assert.Equal(rules, host.Ip("rule show"));
    }

    [Fact]
    public void Start_BelowAReadOnlyProcSys_WarnsOnceOfSettingsAndOnceOfIke()
    {
        // As in a container.
        Requirements.Need("unshare", "timeout");
        using var host = NetworkNamespace.CreateStrict("container");
        using var terminal = new Terminal(host);
        terminal.Type("mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys");

        string log = terminal.Type($"timeout 2 {EspalierProgram.Path} run --control @container 2>&1 || test $? = 124");

        Assert.Contains("ready", log, StringComparison.Ordinal);
        string[] warnings = [.. log.Split('\n').Where(line => line.Contains("warning: ", StringComparison.Ordinal))];
        Assert.Equal(2, warnings.Length);
        Assert.Matches("Kernel settings could not be changed: .*addr_gen_mode, .*: Read-only file system", warnings[0]);
        Assert.Matches("IKE messages on port 4500 .*src_valid_mark: Read-only file system", warnings[1]);
        Assert.Matches("WARNING +rp_filter +strict for all, ", terminal.Type($"{EspalierProgram.Path} doctor"));
    }

    private static void AddPolicy(EspalierProgram daemon)
    {
        daemon.Exec($"ip xfrm state add src 192.168.0.1 dst 192.168.0.2 proto esp spi 0x100 reqid 1 mode tunnel aead rfc4106(gcm(aes)) {TwoHosts.GcmKey()} 128").Expect();
        daemon.Exec("ip xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out tmpl src 192.168.0.1 dst 192.168.0.2 proto esp reqid 1 mode tunnel").Expect();
        daemon.Exec("ip xfrm policy add src 10.2.0.0/16 dst 10.1.0.0/16 dir in tmpl src 192.168.0.2 dst 192.168.0.1 proto esp reqid 1 mode tunnel").Expect();
    }

    private static readonly string[] SurroundingCommands =
    [
        "ip -o link show", "ip rule show", "ip -6 rule show", "ip route show table all", "ip -6 route show table all", "nft list ruleset",
        "sysctl net.ipv4.conf.all.src_valid_mark net.ipv4.conf.all.rp_filter",
    ];

    private static string Surroundings(NetworkNamespace host) =>
        string.Join('\n', SurroundingCommands.Select(command => $"# {command}\n{host.Sh(command).Expect().Output}"));
}
