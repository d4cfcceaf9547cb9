using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Espalier.Running;
using Espalier.Testing;

namespace Espalier.Program.Tests;

/// <summary>Starts of `espalier run` that fail say one line and leave nothing; the service manager is told.</summary>
public sealed class RunTests
{
    private static readonly string Espalier = ExecTests.Program;

    [Fact]
    public void Run_WithoutRights_EndsWithOneLineThatSaysWhatToDo()
    {
        Requirement.Tun();
        Requirement.Tool("setpriv");
        using var host = NetworkNamespace.Create("run");

        var result = Command.Try("ip", [
            "netns", "exec", host.Name, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", Espalier, "run", "--control", $"@{host.Name}"]);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("root", OneLine(result.Error), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_ControlSocketInNoDirectory_EndsWithOneLine()
    {
        Requirement.Tun();
        var result = Command.Try(Espalier, ["run", "--control", "/nonexistent/here.sock"]);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("--control", OneLine(result.Error), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_TunNameOfAnotherDevice_EndsWithOneLine()
    {
        Requirement.Tun();
        using var host = NetworkNamespace.Create("run");

        var result = Command.Try("ip", ["netns", "exec", host.Name, Espalier, "run", "--control", $"@{host.Name}", "--tun", "lo"]);

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("--tun", OneLine(result.Error), StringComparison.Ordinal);
        Assert.DoesNotContain("4550", host.Ip("rule show"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("routing table 4550")]
    [InlineData("routing table 135622", "--table", "135622")] // derived from 4550
    [InlineData("priority 214", "--table", "4551", "--rule-priority", "214")]
    [InlineData("mark 0x4550", "--table", "4551", "--rule-priority", "215")]
    [InlineData("mark 0x14550", "--table", "4551", "--rule-priority", "215", "--mark", "0x14550")]
    public void Run_WhatALiveInstanceHas_EndsWithOneLineAndLeavesThatAlone(string what, params string[] options)
    {
        Requirement.Tun();
        using var host = NetworkNamespace.Create("run");
        using var first = new Running(host, []);
        string rules = host.Ip("rule show");

        var second = Command.Try("ip", [
            "netns", "exec", host.Name, Espalier, "run", "--control", $"@{host.Name}-b", "--tun", "espb", "--encap-port", "0", .. options]);

        Assert.Equal(1, second.ExitCode);
        Assert.Contains(what, OneLine(second.Error), StringComparison.Ordinal);
        Assert.Contains("--table, --rule-priority and --mark", second.Error, StringComparison.Ordinal);
        Assert.Equal(rules, host.Ip("rule show"));
        Assert.DoesNotContain("espb", host.Ip("link show"), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_TunDeleted_EndsWithTheReasonAndLeavesNothing()
    {
        Requirement.Tun();
        using var host = NetworkNamespace.Create("run");
        using var daemon = new Running(host, []);

        host.Ip("link delete esp0");

        Assert.Equal(1, daemon.WaitForExit());
        Assert.Contains("esp0", daemon.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("4550", host.Ip("rule show"), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_TunMovedToAnotherNamespace_EndsWithTheReasonAndLeavesNothing()
    {
        Requirement.Tun();
        using var host = NetworkNamespace.Create("run");
        using var other = NetworkNamespace.Create("other");
        using var daemon = new Running(host, []);

        host.Ip($"link set esp0 netns {other.Name}");

        Assert.Equal(1, daemon.WaitForExit());
        Assert.Contains("esp0 is no longer in this network namespace", daemon.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("4550", host.Ip("rule show"), StringComparison.Ordinal);
        Assert.DoesNotContain("esp0", other.Ip("link show"), StringComparison.Ordinal);
    }

    [Fact]
    public void Run_UnderServiceManager_TellsReadyWatchdogAndStopping()
    {
        Requirement.Tun();
        using var host = NetworkNamespace.Create("run");
        string path = Path.Combine(Path.GetTempPath(), $"{host.Name}.notify");
        using var manager = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified) { ReceiveTimeout = 20_000 };
        manager.Bind(new UnixDomainSocketEndPoint(path));
        try
        {
            using var daemon = new Running(host, ["env", $"NOTIFY_SOCKET={path}", "WATCHDOG_USEC=100000"]);

            Assert.Contains("READY=1", Receive(manager), StringComparison.Ordinal);
            Assert.Equal("WATCHDOG=1", Receive(manager));
            Command.Run("kill", "-TERM", daemon.Id.ToString(CultureInfo.InvariantCulture));
            string last = "";
            while (!last.StartsWith("STOPPING=1", StringComparison.Ordinal))
            {
                last = Receive(manager);
            }

            Assert.Equal(0, daemon.WaitForExit());
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Run_Protected_HasNoCoreDumpAndIsNotDumpable()
    {
        Requirement.Tun();
        using var host = NetworkNamespace.Create("run");
        using var daemon = new Running(host, []);

        string limits = File.ReadAllText($"/proc/{daemon.Id}/limits");

        Assert.Matches(@"Max core file size\s+0\s+0\s", limits);
    }

    [Theory]
    [InlineData("1000000", null, 500)]
    [InlineData("1000000", "1", null)]
    [InlineData("", null, null)]
    [InlineData("0", null, null)]
    [InlineData("soon", null, null)]
    [InlineData("18446744073709551615", null, null)]
    public void WatchdogPeriod_Environment_IsHalfOfIt(string microseconds, string? process, int? milliseconds) =>
        Assert.Equal(milliseconds, (int?)ServiceNotices.WatchdogPeriod(microseconds, process)?.TotalMilliseconds);

    private static string OneLine(string error) => Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));

    private static string Receive(Socket manager)
    {
        byte[] buffer = new byte[4096];
        return Encoding.UTF8.GetString(buffer, 0, manager.Receive(buffer));
    }

    /// <summary>A daemon in a namespace, up to `ready`.</summary>
    private sealed class Running : IDisposable
    {
        private readonly Process _process;
        private readonly StringBuilder _error = new();

        internal Running(NetworkNamespace host, string[] before)
        {
            var start = new ProcessStartInfo("ip") { RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (string argument in (string[])["netns", "exec", host.Name, .. before, Espalier, "run", "--control", $"@{host.Name}"])
            {
                start.ArgumentList.Add(argument);
            }

            _process = Process.Start(start)!;
            _process.ErrorDataReceived += (_, line) => _error.AppendLine(line.Data);
            _process.BeginErrorReadLine();
            Assert.True(_process.StandardOutput.ReadLine() == "ready", Error);
        }

        internal int Id => _process.Id;

        internal string Error => _error.ToString();

        internal int WaitForExit()
        {
            Assert.True(_process.WaitForExit(TimeSpan.FromSeconds(20)), Error);
            _process.WaitForExit();
            return _process.ExitCode;
        }

        public void Dispose()
        {
            if (!_process.HasExited)
            {
                _process.Kill();
                _process.WaitForExit();
            }

            _process.Dispose();
        }
    }
}
