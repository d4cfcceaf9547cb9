using Espalier.Lab.Hosts;
using Espalier.Lab.Subjects;
using Espalier.Testing;

namespace Espalier.Lab.Tests;

/// <summary>The lab's hold on a daemon: it lives as long as the lab wants it, and its end is told.</summary>
public class EspalierDaemonTests
{
    private static readonly string[] Sleeper = ["sh", "-c", "echo ready; exec sleep 60"];

    [Fact]
    public async Task Start_OnAThreadThatEnds_GoesOn()
    {
        Requirement.Tool("setpriv");
        EspalierDaemon? daemon = null;
        var thread = new Thread(() => daemon = EspalierDaemon.StartAsync(Sleeper).GetAwaiter().GetResult());
        thread.Start();
        thread.Join();

        await using (daemon)
        {
            // The kernel kills at once what it kills with a thread; the waiting is for a second of life.
            Assert.Null(await daemon!.WhyEndedAsync());
        }
    }

    [Fact]
    public async Task WhyEnded_DaemonThatFailed_TellsItsExitCodeAndLastLine()
    {
        Requirement.Tool("setpriv");
        await using var daemon = await EspalierDaemon.StartAsync(["sh", "-c", "echo ready; echo no such luck >&2; exit 7"]);

        string? why = await daemon.WhyEndedAsync();

        Assert.Equal("the daemon ended with exit code 7: no such luck", why);
    }

    [Fact]
    public async Task Stat_DaemonThatIsGone_SaysSoInOneLine()
    {
        Requirement.Tool("setpriv");
        await using var host = new LocalHost();
        await host.StartDaemonAsync(["sh", "-c", "echo ready; echo no such luck >&2; exit 7"], "@espalier-nobody-listens");

        var failure = await Assert.ThrowsAsync<LabException>(host.StatAsync);

        Assert.Equal("the daemon ended with exit code 7: no such luck", failure.Message);
    }
}
