using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Espalier.EndToEnd.Tests.Hosts;
using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>Clients of the control socket that come together, die in the middle, do not read, or come back after a restart.</summary>
public sealed class ClientTests
{
    private const string Key = "aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128";

    [Fact]
    public void Clients_SeveralBatchesAtOnce_AllAreApplied()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);

        Parallel.For(0, 6, client =>
        {
            string file = BatchFile(client, 300);
            daemon.Exec($"ip -batch {file}").Expect();
            File.Delete(file);
            Assert.Equal(300, daemon.Exec($"ip xfrm state list reqid {client + 1}").Expect().Output.Split("proto esp").Length - 1);
        });

        Assert.Equal("SAD count 1800", daemon.Exec("ip xfrm state count").Expect().Output.Trim());
        Assert.Equal(0, (int)daemon.Stat()["controlSocket"]!["errors"]!);
    }

    [Fact]
    public void Client_KilledInTheMiddle_LeavesTheOthersAndTheDaemonAlone()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        string file = BatchFile(0, 5000), other = BatchFile(1, 200);
        for (int round = 0; round < 4; round++)
        {
            using var victim = Exec(host, daemon, $"ip -batch {file}");
            Wait.For(() => (int)daemon.Stat()["associationsCount"]! > 100);
            using var dump = Exec(host, daemon, "ip xfrm state");
            victim.Kill();
            dump.Kill(); // in the middle of a dump, or before it
            victim.WaitForExit();
            dump.WaitForExit();
            daemon.Exec($"ip -batch {other}").Expect();
            Assert.Equal(200, daemon.Exec("ip xfrm state list reqid 2").Expect().Output.Split("proto esp").Length - 1);
            daemon.Exec("ip xfrm state flush").Expect();
        }

        File.Delete(file);
        File.Delete(other);
        // The statistics' own connection is the only one left.
        Assert.True(Wait.For(() => (int)daemon.Stat()["controlSocket"]!["clients"]! == 1));
        Assert.Equal(0, daemon.Stop());
    }

    [Fact]
    public void Connections_MoreThanMay_AreTurnedAwayUntilOthersGo()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        var idle = host.Run(() => Enumerable.Range(0, 256).Select(_ => Connect(daemon.Control)).ToList());
        try
        {
            var refused = daemon.Exec("ip xfrm state count");
            Assert.NotEqual(0, refused.ExitCode);
            Assert.Contains("This data plane serves 256 clients already", refused.Error, StringComparison.Ordinal);
        }
        finally
        {
            idle.ForEach(connection => connection.Dispose());
        }

        Assert.True(Wait.For(() => daemon.Exec("ip xfrm state count").ExitCode == 0));
        Assert.True((int)daemon.Stat()["controlSocket"]!["tooMany"]! > 0);
    }

    [Fact]
    public void Connection_GarbageInEveryLength_IsAnsweredOrCountedAndChangesNothing()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        daemon.Exec($"ip xfrm state add src 192.168.0.1 dst 192.168.0.2 proto esp spi 0x100 mode tunnel {Key}").Expect();
        var random = new Random(4303);
        host.Run(() =>
        {
            for (int i = 0; i < 400; i++)
            {
                using var connection = Connect(daemon.Control);
                byte[] datagram = new byte[1 + random.Next(i < 200 ? 64 : 600)];
                random.NextBytes(datagram);
                if (i % 2 == 0 && datagram.Length >= 16)
                {
                    // A header that is right, with a request that exists, and anything behind it; none that deletes.
                    BitConverter.TryWriteBytes(datagram, datagram.Length);
                    BitConverter.TryWriteBytes(datagram.AsSpan(4), (ushort)(i % 4 == 0 ? 0x10 : 0x12));
                    BitConverter.TryWriteBytes(datagram.AsSpan(6), (ushort)5);
                }

                connection.Send(datagram);
            }
        });

        Assert.Contains("0x00000100", daemon.Exec("ip xfrm state").Expect().Output, StringComparison.Ordinal);
        Assert.Equal("SAD count 1", daemon.Exec("ip xfrm state count").Expect().Output.Trim());
        Assert.True((int)daemon.Stat()["controlSocket"]!["malformed"]! > 0);
        Assert.DoesNotContain("xception", daemon.Log, StringComparison.Ordinal);
    }

    private static Socket Connect(string control)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        socket.Connect(new UnixDomainSocketEndPoint(control));
        return socket;
    }

    [Fact]
    public void Monitor_Stopped_LosesNotificationsAndDoesNotGrowTheDaemon()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        long start = daemon.Memory().VmRss;
        string file = BatchFile(0, 3000);
        daemon.Exec($"ip -batch {file}").Expect();
        daemon.Exec("ip xfrm state flush").Expect();
        using var monitor = new XfrmMonitor(host, daemon).WaitUntilSubscribed(daemon);
        Shell.Run(string.Create(CultureInfo.InvariantCulture, $"kill -STOP {monitor.ProcessId}")).Expect();
        // What waits for the monitor is bounded by 512 KiB, and its table and the pages of the program that this touches by as much again.
        long before = daemon.SettledMemory(start + 2048), limit = before + 1024;
        var after = new List<long>();
        for (int round = 0; round < 3; round++)
        {
            daemon.Exec($"ip -batch {file}").Expect();
            daemon.Exec("ip xfrm state flush").Expect();
            after.Add(daemon.SettledMemory(limit));
        }

        long lost = (long)daemon.Stat()["controlSocket"]!["notificationsLost"]!;
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"9,000 notifications for a stopped monitor: {lost} lost; VmRSS {start} KiB at the start, {before} KiB before, {string.Join(", ", after)} KiB after each round");
        Assert.True(lost > 0);
        Assert.All(after, resident => Assert.InRange(resident, 1, limit));
        // It goes on where it can, and sees what comes then.
        Shell.Run(string.Create(CultureInfo.InvariantCulture, $"kill -CONT {monitor.ProcessId}")).Expect();
        Assert.True(Wait.For(() =>
        {
            daemon.Exec("ip xfrm policy add src 10.1.0.0/16 dst 10.77.0.0/16 dir out action block");
            daemon.Exec("ip xfrm policy flush");
            return monitor.Text.Contains("10.77.0.0/16", StringComparison.Ordinal);
        }));
        File.Delete(file);
    }

    [Fact]
    public void Descriptors_NoneFree_IsSaidOnceAndTheClientIsServedLater()
    {
        Requirements.Need("prlimit");
        using var host = NetworkNamespace.Create("solo");
        using var daemon = EspalierProgram.Start(host);
        daemon.Exec("ip xfrm state count").Expect();
        int free = -1;
        Assert.True(Wait.For(() => free == (free = FirstFreeDescriptor(daemon)))); // what the start and the client had is closed
        Shell.Run(string.Create(CultureInfo.InvariantCulture, $"prlimit --pid {daemon.Process.Id} --nofile={free}:")).Expect();
        using var client = Exec(host, daemon, "ip xfrm state count");
        Assert.True(Wait.For(() => daemon.Log.Contains("cannot accept", StringComparison.Ordinal)), daemon.Log);
        int turns = ControlTurns(daemon);
        Wait.Until(() => ControlTurns(daemon) >= turns + 3, "more attempts, which are not told");
        Shell.Run(string.Create(CultureInfo.InvariantCulture, $"prlimit --pid {daemon.Process.Id} --nofile=1024:")).Expect();

        Assert.Equal("SAD count 0", client.StandardOutput.ReadToEnd().Trim());
        client.WaitForExit();
        Assert.Contains("Too many open files", Assert.Single(daemon.Log.Split('\n'), line => line.Contains("cannot accept", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void Restart_UserNamedByOption_ComesBack()
    {
        Requirements.Need("setpriv");
        using var host = NetworkNamespace.Create("solo");
        for (int start = 0; start < 2; start++)
        {
            using var daemon = EspalierProgram.Start(host, "--allow-user", "nobody");
            AsNobody(host, daemon, $"ip xfrm state add src 192.168.0.1 dst 192.168.0.2 proto esp spi 0x100 mode tunnel {Key}").Expect();
            Assert.Contains("0x00000100", AsNobody(host, daemon, "ip xfrm state").Expect().Output, StringComparison.Ordinal);
            var other = host.Sh($"setpriv --reuid 65533 --regid 65533 --clear-groups {EspalierProgram.Path} exec --control {daemon.Control} -- ip xfrm state");
            Assert.NotEqual(0, other.ExitCode);
            Assert.Contains("--allow-user", other.Error, StringComparison.Ordinal);
            daemon.Stop();
        }

        using var groups = EspalierProgram.Start(host, "--allow-group", "daemon");
        host.Sh($"setpriv --reuid 65533 --regid 65533 --groups 1 {EspalierProgram.Path} exec --control {groups.Control} -- ip xfrm state").Expect();
        Assert.NotEqual(0, AsNobody(host, groups, "ip xfrm state").ExitCode);
    }

    private static int FirstFreeDescriptor(EspalierProgram daemon)
    {
        var used = Directory.GetFileSystemEntries($"/proc/{daemon.Process.Id}/fd").Select(entry => int.Parse(Path.GetFileName(entry), CultureInfo.InvariantCulture)).ToHashSet();
        return Enumerable.Range(0, used.Count + 1).First(number => !used.Contains(number));
    }

    private static ShellResult AsNobody(NetworkNamespace host, EspalierProgram daemon, string command) =>
        host.Sh($"setpriv --reuid 65534 --regid 65534 --clear-groups {EspalierProgram.Path} exec --control {daemon.Control} -- {command}");

    private static Process Exec(NetworkNamespace host, EspalierProgram daemon, string command) =>
        Shell.Start(["ip", "netns", "exec", host.Name, EspalierProgram.Path, "exec", "--control", daemon.Control, "--", .. command.Split(' ')]);

    // How often the control thread has slept: as long as it cannot accept, and nothing else happens, once for each attempt.
    private static int ControlTurns(EspalierProgram daemon)
    {
        string thread = Directory.GetDirectories($"/proc/{daemon.Process.Id}/task").Single(task => File.ReadAllText($"{task}/comm").Trim() == "espalier-control"[..15]);
        return int.Parse(
            File.ReadLines($"{thread}/status").Single(line => line.StartsWith("voluntary_ctxt_switches:", StringComparison.Ordinal)).Split('\t')[1], CultureInfo.InvariantCulture);
    }

    private static string BatchFile(int client, int number)
    {
        var text = new StringBuilder();
        for (int i = 0; i < number; i++)
        {
            text.Append(CultureInfo.InvariantCulture, $"xfrm state add src 192.168.0.1 dst 192.168.0.2 proto esp spi {0x20000000 + (client * 0x10000) + i} reqid {client + 1} mode tunnel {Key}\n");
        }

        string file = Path.GetTempFileName();
        File.WriteAllText(file, text.ToString());
        return file;
    }
}
