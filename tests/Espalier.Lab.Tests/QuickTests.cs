using Espalier.Lab.Cli;
using Espalier.Testing;

namespace Espalier.Lab.Tests;

/// <summary>What the tour says while it runs; that it carries traffic is a matter of the end-to-end tests.</summary>
public sealed class QuickTests
{
    // A terminal sends Ctrl-C to every process of the group, the daemons too: that they end is no failure.
    [Theory]
    [InlineData("TCP moon → sun")]
    [InlineData("UDP 1,300 B, 5,000/s, moon → sun", "--in-process")]
    public void Quick_Interrupted_SaysSoAndLeavesNothing(string step, params string[] options)
    {
        Requirement.Tun();
        using var lab = LabProgram.StartGroup(["quick", "--seconds", "20", .. options]);
        string? line;
        do
        {
            line = lab.StandardError.ReadLine();
        }
        while (line is not null && !line.Contains(step, StringComparison.Ordinal));

        Assert.Matches(" s left$| min left$", line);
        Command.Run("sh", "-c", $"kill -INT -{lab.Id}");
        string rest = lab.StandardError.ReadToEnd();
        Assert.True(lab.WaitForExit(TimeSpan.FromSeconds(30)));
        Assert.Equal(130, lab.ExitCode);
        Assert.StartsWith("espalier-lab: ended", Assert.Single(rest.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    [Fact]
    public void SecondsLeft_ShortFirstStep_DoesNotDecide()
    {
        Assert.InRange(LabProgress.SecondsLeft(total: 106, done: 1, elapsed: 0.3), 95, 105);
        Assert.InRange(LabProgress.SecondsLeft(total: 100, done: 50, elapsed: 100), 80, 100); // half of it took twice as long
        Assert.Equal(60, LabProgress.SecondsLeft(total: 60, done: 0, elapsed: 0));
    }
}
