using Espalier.Executing;
using Espalier.Testing;

namespace Espalier.Program.Tests;

/// <summary>`espalier exec` of the program that was built with these tests.</summary>
public sealed class ExecTests
{
    internal static readonly string Program = Path.Combine(
        Path.GetDirectoryName(Path.GetDirectoryName(AppContext.BaseDirectory.TrimEnd('/')))!, "Espalier", Path.GetFileName(AppContext.BaseDirectory.TrimEnd('/')), "espalier");

    private static readonly string NoControl = $"/tmp/esp{Environment.ProcessId}-none.sock";

    [Fact]
    public void Exec_WithoutDataPlane_SaysSoOnceAndRunsTheProgramAsOnAKernelWithoutXfrm()
    {
        Requirement.Tool("ip");

        var result = Exec("ip", "xfrm", "state");

        string[] lines = result.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        Assert.Contains($"nobody listens on {NoControl}", lines[0], StringComparison.Ordinal);
        Assert.Contains("Protocol not supported", lines[1], StringComparison.Ordinal);
        Assert.NotEqual(0, result.ExitCode);
    }

    [Fact]
    public void Exec_Program_GetsItsArgumentsAndEndsWithItsExitCode()
    {
        var result = Exec("sh", "-c", "printf '%s|' \"$@\"; exit 7", "name", "two words", "", "--control", "ü");

        Assert.Equal(7, result.ExitCode);
        Assert.Equal("two words||--control|ü|", result.Output);
    }

    [Fact]
    public void Exec_Program_GetsEnvironmentAndDefaultSignals()
    {
        var result = Exec("sh", "-c", "echo $ESPALIER_CONTROL; echo $LD_PRELOAD; echo $PPID; grep SigIgn /proc/self/status; ulimit -Sn");

        string[] lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(NoControl, lines[0]);
        Assert.EndsWith("/libespalier-xfrm.so", lines[1].Split(':')[0], StringComparison.Ordinal);
        // The program took the place of this command: its parent is the test.
        Assert.Equal($"{Environment.ProcessId}", lines[2]);
        const ulong SigPipe = 1UL << (13 - 1);
        Assert.Equal(0UL, Convert.ToUInt64(lines[3].Split('\t', ' ')[^1], 16) & SigPipe);
    }

    [Theory]
    [InlineData("cd /; \"$1/espalier\"")]
    [InlineData("cd \"$2\"; ln -s \"$1/espalier\" first; ln -s first second; cd /; \"$2/second\"")]
    [InlineData("cd \"$2\"; PATH=$1:$PATH; espalier")]
    [InlineData("ln -s \"$1/espalier\" \"$2/esp\"; PATH=$2:$PATH; cd /; esp")]
    [InlineData("cd \"$1/..\"; ./\"${1##*/}\"/espalier")]
    public void Exec_HoweverItIsStarted_FindsTheLibraryBesideIt(string start)
    {
        RequireLibrary();
        string folder = Path.GetDirectoryName(Program)!, scratch = Directory.CreateTempSubdirectory($"esp{Environment.ProcessId}-").FullName;
        try
        {
            var result = Command.Try("sh", ["-c", $"{start} exec --control {NoControl} -- sh -c 'echo $LD_PRELOAD'", "sh", folder, scratch]);

            Assert.Equal(Path.Combine(folder, PreloadLibrary.FileName), result.Output.Trim().Split(':')[0]);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    [Fact]
    public void Exec_NoSuchProgram_ExitsWith127() => Assert.Equal(127, Exec("no-such-program-here").ExitCode);

    [Fact]
    public void Exec_ProgramThatCannotBeRun_ExitsWith126() => Assert.Equal(126, Exec("/etc/passwd").ExitCode);

    [Fact]
    public void Exec_WithoutLibrary_SaysWhatToInstall()
    {
        string folder = Directory.CreateTempSubdirectory($"esp{Environment.ProcessId}-").FullName;
        try
        {
            Assert.Null(PreloadLibrary.Find(folder + "/"));
            File.WriteAllBytes(Path.Combine(folder, PreloadLibrary.FileName), []);
            Assert.Equal(Path.Combine(folder, PreloadLibrary.FileName), PreloadLibrary.Find(folder + "/"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static CommandResult Exec(params string[] program)
    {
        RequireLibrary();
        return Command.Try(Program, ["exec", "--control", NoControl, "--", .. program]);
    }

    private static void RequireLibrary() =>
        Assert.SkipUnless(File.Exists(Path.Combine(Path.GetDirectoryName(Program)!, PreloadLibrary.FileName)), "needs gcc and make at build time, for the preload library");
}
