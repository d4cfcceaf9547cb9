using Espalier.CommandLine;
using Espalier.Testing;

namespace Espalier.Program.Tests;

/// <summary>What the command line accepts, and what it says.</summary>
public sealed class CommandLineTests
{
    [Theory]
    [InlineData("run --encap-port 70000", "--encap-port takes a number from 0 to 65535, not '70000'")]
    [InlineData("run --encap-port -1", "--encap-port takes a number from 0 to 65535, not '-1'")]
    [InlineData("run --mark 0xfffffffff", "--mark takes a number from 1 to 4294967295, not '0xfffffffff'")]
    [InlineData("run --mark 0", "--mark takes a number from 1 to 4294967295, not '0'")]
    [InlineData("run --table main", "--table takes a number")]
    [InlineData("run --table 254", "--table takes a table of its own, not 254")]
    [InlineData("run --control ''", "--control takes a path of 1 to 107 bytes, or @NAME, not ''")]
    [InlineData("run --control @", "--control takes a path")]
    [InlineData("exec --control '' -- true", "--control takes a path")]
    [InlineData("stat --control ''", "--control takes a path")]
    [InlineData("doctor --control ''", "--control takes a path")]
    [InlineData("run --rule-priority 32762", "--rule-priority takes a number from 1 to 32761")]
    [InlineData("run --tun interface-name-too-long", "--tun takes an interface name of 1 to 15 characters")]
    [InlineData("run --tun a/b", "--tun takes an interface name")]
    [InlineData("run --tun tun%d", "--tun takes an interface name")]
    [InlineData("run --allow-user no-such-user-here", "there is no user 'no-such-user-here'")]
    [InlineData("run --allow-group no-such-group-here", "there is no group 'no-such-group-here'")]
    [InlineData("run --crypto rot13", "--crypto takes system, ipsec-mb, openssl, bouncycastle or auto, not 'rot13'")]
    [InlineData("run --log-level loud", "--log-level takes trace, debug")]
    [InlineData("run --no-such-option", "--no-such-option")]
    [InlineData("run --tun", "--tun")]
    [InlineData("start", "start")]
    [InlineData("exec", "exec")]
    [InlineData("exec --no-such-option", "--no-such-option")]
    [InlineData("exec -x ip xfrm state", "-x")]
    [InlineData("exec -x -- ip", "-x")]
    [InlineData("stat --xml", "--xml")]
    [InlineData("", "Required command")]
    public void Invoke_BadCommandLine_ExitsWithOneLineThatNamesIt(string commandLine, string reason)
    {
        var (code, output, error) = Invoke(commandLine);

        Assert.Equal(ExitCodes.Usage, code);
        Assert.Equal("", output);
        Assert.Contains(reason, Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.Contains("--help", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Invoke_ControlPathThatNoSocketHolds_ExitsWithOneLine()
    {
        string longest = "/" + new string('x', 106);

        Assert.Equal(ExitCodes.Usage, Invoke($"stat --control {longest}y").Code);
        Assert.Equal(ExitCodes.Failure, Invoke($"stat --control {longest}").Code);
    }

    [Theory]
    [InlineData("--help", "espalier doctor", "/run/espalier.sock")]
    [InlineData("run --help", "Exit codes", "--allow-user strongswan")]
    [InlineData("exec --help", "LD_PRELOAD", "espalier exec -- ip xfrm state")]
    [InlineData("stat --help", "Exit codes", "--json")]
    [InlineData("doctor --help", "Exit codes", "--encap-port")]
    public void Invoke_Help_HasExamplesFilesAndExitCodes(string commandLine, params string[] parts)
    {
        var (code, output, error) = Invoke(commandLine);

        Assert.Equal(ExitCodes.Success, code);
        Assert.Equal("", error);
        Assert.All(parts, part => Assert.Contains(part, output, StringComparison.Ordinal));
        Assert.DoesNotContain(output.Split('\n'), line => line.Length > 140);
    }

    [Fact]
    public void Invoke_Version_PrintsIt()
    {
        var (code, output, _) = Invoke("--version");

        Assert.Equal(0, code);
        Assert.Matches(@"^\d+\.\d+\.\d+", output);
    }

    [Theory]
    [InlineData("--help > /dev/full", 1, "espalier: No space left on device")]
    [InlineData("doctor > /dev/full", 1, "espalier: No space left on device")]
    [InlineData("--help > /dev/full 2> /dev/full", 1, "")]
    [InlineData("run --no-such-option 2> /dev/full", 1, "")]
    public void Output_ThatCannotBeWritten_GetsOneLineOrNone(string commandLine, int code, string reason)
    {
        var result = Command.Try("sh", ["-c", $"ESPALIER_CONTROL=@none-{Environment.ProcessId} {ExecTests.Program} {commandLine}"]);

        Assert.Equal(code, result.ExitCode);
        Assert.StartsWith(reason, result.Error, StringComparison.Ordinal);
        Assert.Equal(reason == "" ? 0 : 1, result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
    }

    [Fact]
    public void Stat_WithoutDataPlane_ExitsWithOneLine()
    {
        var (code, output, error) = Invoke($"stat --control /tmp/esp{Environment.ProcessId}-none.sock");

        Assert.Equal(ExitCodes.Failure, code);
        Assert.Equal("", output);
        Assert.Contains("espalier run", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    private static (int Code, string Output, string Error) Invoke(string commandLine)
    {
        using StringWriter output = new(), error = new();
        var arguments = commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(argument => argument == "''" ? "" : argument);
        int code = RootCommandFactory.Invoke([.. arguments], output, error);
        return (code, output.ToString(), error.ToString());
    }
}
