using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>The lab's quick tour as an ordinary user runs it: in a user namespace, in one process, and where there is no TUN.</summary>
public sealed class UserNamespaceTests
{
    private static string Lab { get; } = Path.Combine(EspalierProgram.Root(), "artifacts/bin/Espalier.Lab/release/Espalier.Lab");

    [Fact]
    public void Quick_OrdinaryUser_TwoHostsInAUserNamespace()
    {
        Need();
        var result = AsUser($"{Lab} quick --seconds 0.5");

        Assert.True(result.ExitCode == 0, result.Text);
        Assert.Contains("two network namespaces", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("In one process", result.Output, StringComparison.Ordinal);
        Assert.Contains("TCP, one stream", result.Output, StringComparison.Ordinal);
        Assert.Contains("200 of 200", result.Output, StringComparison.Ordinal);
        Reported(result);
    }

    [Fact]
    public void Quick_InProcess_IsLabelledAndCarriesTraffic()
    {
        Need();
        var result = AsUser($"{Lab} quick --seconds 0.3 --in-process");

        Assert.True(result.ExitCode == 0, result.Text);
        Assert.Contains("In one process", result.Output, StringComparison.Ordinal);
        Reported(result);
    }

    [Fact]
    public void Quick_WithoutTun_SaysSoAndFallsBack()
    {
        Need();
        var result = Shell.Run(["unshare", "-m", "sh", "-c", $"mount -t tmpfs none /dev/net && exec {string.Join(' ', UserCommand($"{Lab} quick --seconds 0.3"))}"], 60);

        Assert.True(result.ExitCode == 0, result.Text);
        Assert.Contains("In one process", result.Output, StringComparison.Ordinal);
        Assert.Contains("/dev/net/tun does not exist", string.Join(' ', result.Output.Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Reported(result);
    }

    private static void Need()
    {
        Requirements.Need("setpriv", "unshare");
        Assert.SkipUnless(File.Exists(Lab), $"needs the lab: dotnet build bench/Espalier.Lab -c Release ({Lab})");
    }

    /// <summary>Traffic was seen, and the memory figure says whose it is.</summary>
    private static void Reported(ShellResult result)
    {
        Assert.Contains("UDP", result.Output, StringComparison.Ordinal);
        Assert.Contains("JIT", result.Output, StringComparison.Ordinal);
    }

    private static ShellResult AsUser(string command) => Shell.Run(UserCommand(command), 60);

    private static string[] UserCommand(string command)
    {
        string home = Path.Combine(Path.GetTempPath(), $"espalier-lab-user-{Environment.ProcessId}");
        Directory.CreateDirectory(home);
        Shell.Run($"chmod 0777 {home}").Expect();
        return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", $"HOME={home}", $"DOTNET_CLI_HOME={home}", $"TMPDIR={home}", "TERM=dumb", .. command.Split(' ')];
    }
}
