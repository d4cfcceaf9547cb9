using Espalier.Testing;

namespace Espalier.Lab.Tests;

public sealed class CommandLineTests
{
    [Theory]
    [InlineData("run nosuch", "there is no experiment 'nosuch'")]
    [InlineData("run --bogus", "there is no option --bogus")]
    [InlineData("run tcp --subjects nosuch", "there is no subject 'nosuch'")]
    [InlineData("run tcp --subjects ceiling:fast", "there is no subject 'ceiling:fast'")]
    [InlineData("run tcp --seconds 0", "--seconds takes 0.2 to 600")]
    [InlineData("run tcp --seconds NaN", "--seconds takes 0.2 to 600, not 'NaN'")]
    [InlineData("run tcp --seconds 1,5", "--seconds takes 0.2 to 600, not '1,5'")]
    [InlineData("run tcp --seconds abc", "--seconds takes 0.2 to 600, not 'abc'")]
    [InlineData("quick --seconds NaN", "--seconds takes 0.2 to 60, not 'NaN'")]
    [InlineData("quick --seconds 100", "--seconds takes 0.2 to 60, not '100'")]
    [InlineData("run tcp --repeat 0", "--repeat takes 1 to 1000")]
    [InlineData("run tcp --repeat many", "many")]
    [InlineData("run tcp --pinning sideways", "sideways")]
    [InlineData("run tcp --queue-length 0", "--queue-length takes")]
    [InlineData("run tcp --subjects ,", "--subjects names none")]
    [InlineData("run tcp --beside", "--beside needs --socket-buffer 0")]
    [InlineData("run --resume a.json --full", "--full cannot be given beside it")]
    [InlineData("run tcp --resume a.json", "EXPERIMENT cannot be given beside it")]
    [InlineData("report a.json", "--out")]
    [InlineData("compare a.json", "compare")]
    [InlineData("nosuch", "nosuch")]
    public void WrongOption_IsOneLineAndCode2(string arguments, string expected)
    {
        var (code, _, error) = LabProgram.Run(arguments.Split(' '));
        Assert.Equal(2, code);
        Assert.Contains(expected, error, StringComparison.Ordinal);
        Assert.StartsWith("espalier-lab: ", error, StringComparison.Ordinal);
        Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public void Compare_NoSuchFile_IsOneLineAndCode1()
    {
        var (code, _, error) = LabProgram.Run("compare", "/nosuch/a.json", "/nosuch/b.json");
        Assert.Equal(1, code);
        Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public void Compare_WhatChanged_IsListedWithTheRatiosThatDisagree()
    {
        using var folder = new TemporaryFolder("compare");
        string before = folder.FilePath("a.json"), after = folder.FilePath("b.json");
        Samples.Measured(8).Write(before);
        Samples.Measured(16).Write(after);

        var (code, output, _) = LabProgram.Run("compare", before, after);

        Assert.Equal(0, code);
        Assert.Contains("2.00 [", output, StringComparison.Ordinal);
        Assert.Contains("not: tcp espalier:ipsec-mb one stream: 8.00 [", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--json", "/nosuch/a.json")]
    [InlineData("--json", "/usr")] // a folder
    [InlineData("--report", "/proc/nosuch")]
    public void Run_ResultsCannotBeWritten_IsOneLineBeforeAnythingRuns(string option, string path)
    {
        LabProgram.Need();
        var (code, output, error) = LabProgram.Run("run", "tcp", "--subjects", "direct", "--no-publish", option, path);
        Assert.Equal(1, code);
        Assert.Empty(output);
        Assert.StartsWith($"espalier-lab: {path} cannot be written", Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    // Programs of subjects stand in the system's folders, which a user's path may lack.
    [Fact]
    public void List_PathWithoutTheSystemsFolders_StillFindsWhatIsThere()
    {
        var (code, output, error) = LabProgram.Run("list");
        var (codeBare, outputBare, errorBare) = LabProgram.RunWithPath("/nosuch", "list");
        Assert.Equal((code, output, error), (codeBare, outputBare, errorBare));
    }

    [Fact]
    public void List_SaysWhatThereIs()
    {
        var (code, output, _) = LabProgram.Run("list");
        Assert.Equal(0, code);
        Assert.All(
            (string[])["tcp", "udp", "latency", "memory", "scale", "buffering", "oom", "lockup", "surface", "espalier", "libipsec", "openvpn", "wireguard-go", "direct", "ceiling", "xfrm"],
            name => Assert.Contains(name, output, StringComparison.Ordinal));
    }
}
