using Espalier.CommandLine;
using Espalier.Diagnosis;
using Espalier.Diagnosis.Checks;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Program.Tests;

/// <summary>The doctor on hosts made of files.</summary>
public sealed class DoctorTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory($"esp{Environment.ProcessId}-").FullName;

    [Theory]
    [InlineData("000001ffffffffff", Severity.Good, "")]
    [InlineData("0000000000002000", Severity.Problem, "CAP_NET_ADMIN lacking")]
    [InlineData("0000000000001000", Severity.Problem, "CAP_NET_RAW lacking")]
    [InlineData("0000000000000000", Severity.Problem, "CAP_NET_ADMIN and CAP_NET_RAW lacking")]
    [InlineData("nonsense", Severity.Warning, "")]
    public void Rights_Capabilities_AreNamed(string effective, object severity, string text)
    {
        Put("/proc/self/status", $"Name:\tx\nCapEff:\t{effective}\n");
        var finding = Assert.Single(RightsCheck.Examine(Host()));
        Assert.Equal(severity, finding.Severity);
        Assert.Contains(text, finding.Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Tun_Missing_IsAProblemWithAdvice()
    {
        var finding = Assert.Single(TunCheck.Examine(Host()));
        Assert.Equal(Severity.Problem, finding.Severity);
        Assert.Contains("mknod /dev/net/tun c 10 200", finding.Advice, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/sys/module/esp4/refcnt", "0", "has ESP: IPsec works")]
    [InlineData("/lib/modules/6.1.0/modules.builtin", "kernel/net/ipv4/esp4.ko\n", "has ESP: IPsec works")]
    [InlineData("/lib/modules/6.1.0/modules.dep", "kernel/net/ipv4/esp4.ko.xz: kernel/net/xfrm/xfrm_algo.ko.xz\n", "as a module")]
    [InlineData("/lib/modules/6.1.0/modules.dep", "kernel/net/ipv4/ah4.ko:\n", "none that can be seen")]
    public void KernelEsp_Seen_IsNamed(string path, string contents, string text)
    {
        Put("/proc/sys/kernel/osrelease", "6.1.0\n");
        Put(path, contents);
        Assert.Contains(text, Assert.Single(KernelEspCheck.Examine(Host())).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Guard_NftNotInstalled_IsWarned()
    {
        var finding = Assert.Single(GuardCheck.Examine(new HostView(_root) { SearchPath = _root }));
        Assert.Equal(Severity.Warning, finding.Severity);
        Assert.Contains("install nftables", finding.Advice, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "", Severity.Good)]
    [InlineData(1, "Error: no such thing", Severity.Warning)]
    public void Guard_NftRuns_DecidesByItsExitCode(int exitCode, string says, object severity)
    {
        Put("/nft", $"#!/bin/sh\necho '{says}'\nexit {exitCode}\n");
        if (OperatingSystem.IsLinux())
        {
            File.SetUnixFileMode(Path.Combine(_root, "nft"), UnixFileMode.UserRead | UnixFileMode.UserExecute);
        }

        var finding = Assert.Single(GuardCheck.Examine(new HostView(_root) { SearchPath = _root }));
        Assert.Equal(severity, finding.Severity);
        Assert.Contains(says, finding.Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("   0: 00000000:1194 00000000:0000 07", 4500, Severity.Problem)]
    [InlineData("   0: 00000000:1195 00000000:0000 07", 4500, Severity.Good)]
    [InlineData("   0: 00000000:1195 00000000:1194 07", 4500, Severity.Good)]
    [InlineData("   0: 00000000:1194 00000000:0000 07", 0, Severity.Note)]
    public void Port_InTheKernelsTable_IsTaken(string line, ushort port, object severity)
    {
        Put("/proc/self/net/udp", "  sl  local_address rem_address   st\n");
        Put("/proc/self/net/udp6", $"  sl  local_address rem_address   st\n{line}\n");
        Assert.Equal(severity, Assert.Single(PortCheck.Examine(Host(), port)).Severity);
    }

    [Fact]
    public void Crypto_FasterEngineThere_IsAdvised()
    {
        var findings = CryptoCheck.Examine([("fast", null, "it is not installed"), ("bouncycastle", CryptoEngine.BouncyCastle, null), ("system", CryptoEngine.System, null)]).ToArray();
        Assert.Equal([Severity.Good, Severity.Note], findings.Select(finding => finding.Severity));
        Assert.Contains("--crypto bouncycastle", findings[0].Advice, StringComparison.Ordinal);
        Assert.Equal("fast cannot be used: it is not installed", findings[1].Text);
    }

    [Fact]
    public void Crypto_NoEngine_IsAProblem()
    {
        var finding = Assert.Single(CryptoCheck.Examine([("fast", null, "install libssl3"), ("system", null, "install libssl3")]));
        Assert.Equal((Severity.Problem, "no engine can be used: install libssl3"), (finding.Severity, finding.Text));
    }

    [Fact]
    public void Crypto_SystemIsTheFastest_NeedsNoAdvice() =>
        Assert.Null(Assert.Single(CryptoCheck.Examine([("system", CryptoEngine.System, null)])).Advice);

    [Theory]
    [InlineData("212992", 1000u, Severity.Warning)]
    [InlineData("212992", 0u, Severity.Good)]
    [InlineData("8388608", 1000u, Severity.Good)]
    public void Buffer_Limit_MattersOnlyWithoutRootOfTheHost(string limit, uint user, object severity)
    {
        Put("/proc/sys/net/core/rmem_max", limit + "\n");
        Put("/proc/self/uid_map", "         0          0 4294967295\n");
        Assert.Equal(severity, Assert.Single(BufferCheck.Examine(Host(user), 4 << 20)).Severity);
    }

    [Fact]
    public void Buffer_RootOfAUserNamespace_IsWarned()
    {
        Put("/proc/sys/net/core/rmem_max", "212992\n");
        Put("/proc/self/uid_map", "         0       1000          1\n");
        Assert.Equal(Severity.Warning, Assert.Single(BufferCheck.Examine(Host(), 4 << 20)).Severity);
    }

    [Fact]
    public void Routing_StrictInterfaces_AreNamed()
    {
        Put("/proc/sys/net/ipv4/conf/all/rp_filter", "0");
        Put("/proc/sys/net/ipv4/conf/eth0/rp_filter", "1");
        Put("/proc/sys/net/ipv4/conf/eth1/rp_filter", "2");
        Put("/proc/sys/net/ipv4/conf/all/src_valid_mark", "0");
        Put("/proc/sys/net/ipv4/ip_forward", "1");
        Put("/proc/sys/net/ipv6/conf/all/forwarding", "1");
        var finding = Assert.Single(RoutingCheck.Examine(Host()));
        Assert.Contains("strict for eth0:", finding.Text, StringComparison.Ordinal);
        Assert.Equal(Severity.Note, finding.Severity);
    }

    [Fact]
    public void Routing_StrictWhereTheMarkCannotBeSet_IsWarned()
    {
        Put("/proc/sys/net/ipv4/conf/all/rp_filter", "1");
        var finding = RoutingCheck.Examine(Host()).First();
        Assert.Equal(Severity.Warning, finding.Severity);
        Assert.Contains("--sysctl net.ipv4.conf.all.src_valid_mark=1", finding.Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void Loopback_Down_IsAProblemWhereThereIsAPort()
    {
        Assert.Empty(LoopbackCheck.Examine(Host(), 4500));

        Put("/proc/net/fib_trie", "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.1\n        /32 host LOCAL\n");
        Assert.Equal(Severity.Problem, Assert.Single(LoopbackCheck.Examine(Host(), 4500)).Severity);
        Assert.Empty(LoopbackCheck.Examine(Host(), 0));

        Put("/proc/net/fib_trie", "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n");
        Assert.Empty(LoopbackCheck.Examine(Host(), 4500));
    }

    [Fact]
    public void StrongSwan_SettingsInTheWay_AreNamed()
    {
        Put("/etc/strongswan.conf", "charon {\n  ignore_routing_tables = 4550\n  # interfaces_ignore = esp0\n}\n");
        Put("/etc/strongswan.d/charon/kernel-libipsec.conf", "kernel-libipsec {\n    load = yes\n}\n");
        Put("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so", "");
        Put("/etc/strongswan.d/charon/kernel-netlink.conf", "kernel-netlink {\n    load = no # off\n}\n");

        var findings = StrongSwanCheck.Examine(Host()).ToArray();

        Assert.Equal([Severity.Warning, Severity.Warning, Severity.Note], findings.Select(f => f.Severity));
        Assert.Contains("interfaces_ignore", findings[2].Advice, StringComparison.Ordinal);
    }

    [Fact]
    public void StrongSwan_NotInstalled_IsNoFinding() => Assert.Empty(StrongSwanCheck.Examine(Host()));

    [Fact]
    public void Report_Problem_SetsTheExitCodeAndPrintsTheAdvice()
    {
        using var output = new StringWriter();

        int code = DoctorCommand.Report([new(Severity.Good, "one", "fine"), new(Severity.Problem, "second", "broken", "mend it")], output);

        Assert.Equal(ExitCodes.Failure, code);
        Assert.Equal(
            """
            ok       one     fine
            PROBLEM  second  broken
                             → mend it

            1 problem prevents 'espalier run' here.

            """,
            output.ToString());
    }

    [Fact]
    public void Report_Warnings_DoNotSetTheExitCode()
    {
        using var output = new StringWriter();
        Assert.Equal(ExitCodes.Success, DoctorCommand.Report([new(Severity.Warning, "one", "slow")], output));
        Assert.Contains("with 1 warning.", output.ToString(), StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private HostView Host(uint user = 0) => new(_root) { User = user };

    private void Put(string path, string contents)
    {
        string file = Path.Combine(_root, path.TrimStart('/'));
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, contents);
    }
}
