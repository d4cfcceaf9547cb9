using Espalier.Testing;

namespace Espalier.EndToEnd.Tests;

/// <summary>
/// The commands under "By hand" in README.md, typed as they stand there, on two hosts. Each host has a /run of its own, since the commands use the
/// default control socket.
/// <code>
///  here 10.1.0.1                       peer 10.2.0.1
///  eth0 192.0.2.1 ──────── veth ─────── eth0 192.0.2.2
/// </code>
/// </summary>
public sealed class ReadmeTests
{
    [Fact]
    public void ByHand_AsWritten_TwoHostsPingThroughTheTunnel()
    {
        Requirements.Need("ping", "openssl", "unshare");
        var blocks = ByHand();
        string[] run = blocks[0], configure = blocks[1];
        Assert.StartsWith("dotnet publish src/Espalier -c Release", run[0], StringComparison.Ordinal); // done by tests/run
        string daemon = Assert.Single(run, command => command.Contains(" run ", StringComparison.Ordinal));
        using var here = NetworkNamespace.Create("here");
        using var peer = NetworkNamespace.Create("peer");
        here.LinkTo(peer, "eth0", ["192.0.2.1/24"], ["192.0.2.2/24"]);
        here.Ip("addr add 10.1.0.1/16 dev lo");
        peer.Ip("addr add 10.2.0.1/16 dev lo");
        string keys = Path.GetTempFileName();
        try
        {
            using var left = new Host(here, daemon, [.. configure, $"echo KEY1=$KEY1 KEY2=$KEY2 > {keys}"]);
            Assert.Contains("out (TUN to ESP)", left.Output, StringComparison.Ordinal); // espalier stat
            string[] same = [.. configure.Where(command => !command.StartsWith("KEY1=", StringComparison.Ordinal)).Select(Mirror)];
            using var right = new Host(peer, daemon, [$". {keys}", .. same]);

            here.Sh("ping -c 3 -i 0.02 -W 2 -I 10.1.0.1 10.2.0.1").Expect();
            peer.Sh("ping -c 3 -i 0.02 -W 2 -I 10.2.0.1 10.1.0.1").Expect();
            string stat = left.Run(configure[^1]);
            Assert.Matches(@"out \(TUN to ESP\) +6 ", stat);
            Assert.Matches(@"in \(ESP to TUN\) +6 ", stat);
        }
        finally
        {
            File.Delete(keys);
        }
    }

    // Here and not with the other command lines: a build that compiles at run time has opened files of its own by then, in the place of what was closed.
    [Theory]
    [InlineData("--help >&-", 0, "")]
    [InlineData("exec -- true >&-", 0, "espalier exec: no data plane")]
    [InlineData("run --no-such-option 2>&-", 2, "")]
    public void StandardStream_Closed_IsAsIfNobodyLooked(string command, int code, string error)
    {
        Requirements.Need();

        var result = Command.Try("sh", ["-c", $"ESPALIER_CONTROL=@none-{Environment.ProcessId} {EspalierProgram.Path} {command}"]);

        Assert.Equal((code, ""), (result.ExitCode, result.Output));
        Assert.StartsWith(error, result.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("run")]
    [InlineData("exec")]
    [InlineData("stat")]
    [InlineData("doctor")]
    public void Help_OfEveryCommand_IsPrintedAndAnUnknownOptionGetsOneLine(string command)
    {
        Requirements.Need();
        var help = Shell.Run($"{EspalierProgram.Path} {command} --help").Expect();
        Assert.Equal("", help.Error);
        Assert.True(help.Output.Split('\n').Length > 8, help.Output);
        Assert.All(help.Output.Split('\n'), line => Assert.True(line.Length <= 140, line));

        var unknown = Shell.Run($"{EspalierProgram.Path} {command} --no-such-option");
        Assert.Equal(2, unknown.ExitCode);
        Assert.Equal("", unknown.Output);
        Assert.Contains("--no-such-option", Assert.Single(unknown.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Fact]
    public void Doctor_OnThisMachine_SaysThatRunWorks()
    {
        Requirements.Need();
        using var host = NetworkNamespace.Create("solo");
        var result = host.Sh($"{EspalierProgram.Path} doctor").Expect();
        Assert.Contains("'espalier run' can be expected to work", result.Output, StringComparison.Ordinal);
    }

    /// <summary>The commands after '#' prompts, block by block; a backslash joins lines.</summary>
    private static List<string[]> ByHand()
    {
        string readme = File.ReadAllText(Path.Combine(EspalierProgram.Root(), "README.md"));
        int start = readme.IndexOf("\n## By hand", StringComparison.Ordinal);
        string part = readme[start..readme.IndexOf("\n## ", start + 5, StringComparison.Ordinal)];
        var blocks = new List<string[]>();
        foreach (string block in part.Split("```console\n").Skip(1))
        {
            string text = block[..block.IndexOf("```", StringComparison.Ordinal)].Replace("\\\n", " ", StringComparison.Ordinal);
            blocks.Add([.. text.Split('\n').Where(line => line.StartsWith("# ", StringComparison.Ordinal)).Select(line => line[2..])]);
        }

        Assert.Equal(2, blocks.Count);
        return blocks;
    }

    /// <summary>"the peer gets the same two SAs, and the policies mirrored".</summary>
    private static string Mirror(string command) => !command.Contains(" policy ", StringComparison.Ordinal) ? command
        : Swap(Swap(command, "192.0.2.1", "192.0.2.2"), "10.1.0.0/16", "10.2.0.0/16");

    private static string Swap(string text, string one, string other) =>
        text.Replace(one, "\0", StringComparison.Ordinal).Replace(other, one, StringComparison.Ordinal).Replace("\0", other, StringComparison.Ordinal);

    /// <summary>A host with the daemon in the background of the terminal in which the commands are typed.</summary>
    private sealed class Host : IDisposable
    {
        private readonly Terminal _terminal;

        public Host(NetworkNamespace host, string daemon, string[] commands)
        {
            _terminal = new Terminal(host);
            _terminal.Type($"mount -t tmpfs none /run && cd {EspalierProgram.Root()}/artifacts/publish/Espalier/release");
            _terminal.Type($"({daemon}) > /run/out 2> /run/err & for i in $(seq 250); do grep -qx ready /run/out && break; sleep 0.02; done; cat /run/out /run/err");
            Output = _terminal.Type(commands);
        }

        public string Output { get; }

        public string Run(string command) => _terminal.Type(command);

        public void Dispose()
        {
            _terminal.Type("kill %1; wait; test ! -e /run/espalier.sock");
            _terminal.Dispose();
        }
    }
}
