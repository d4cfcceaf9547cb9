using Espalier.Io.Processes;

namespace Espalier.Io.Tests.Processes;

public sealed class ChildProgramTests
{
    private static readonly TimeSpan Enough = TimeSpan.FromSeconds(20);

    [Fact]
    public void Run_InputLargerThanAPipe_ComesBackWhole()
    {
        string input = new('x', 300_000);

        var result = ChildProgram.Run(ChildProgram.Find("cat")!, [], input, Enough);

        Assert.True(result.Succeeded);
        Assert.Equal(input, result.Output);
    }

    [Fact]
    public void Run_Arguments_ArriveAsTheyAre()
    {
        var result = ChildProgram.Run(ChildProgram.Find("printf")!, ["%s|%s|", "a b", "$(id)"], "", Enough);

        Assert.Equal("a b|$(id)|", result.Output);
    }

    [Fact]
    public void Run_ProgramThatFails_GivesCodeAndWords()
    {
        var result = ChildProgram.Run(ChildProgram.Find("ls")!, ["/nowhere"], "", Enough);

        Assert.Equal(2, result.ExitCode);
        Assert.Contains("/nowhere", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public void Run_ProgramThatDoesNotEnd_IsEnded() =>
        Assert.Throws<DeviceException>(() => ChildProgram.Run(ChildProgram.Find("sleep")!, ["60"], "", TimeSpan.FromMilliseconds(50)));

    [Fact]
    public void Run_NoSuchProgram_SaysSo()
    {
        Assert.Null(ChildProgram.Find("no-such-program"));
        Assert.Throws<DeviceException>(() => ChildProgram.Run("/no/such/program", [], "", Enough));
    }
}
