using Espalier.Testing;
using Espalier.Xfrm.Server;

namespace Espalier.Xfrm.Tests.Server;

/// <summary>What is logged of requests that were refused: each reason once an hour, and not too many.</summary>
public sealed class RefusalLogTests
{
    [Fact]
    public void Say_ReasonsInTurn_AreLoggedOnceAnHourEach()
    {
        using var server = new ServerHarness();
        var clock = new ManualClock();
        var refusals = new RefusalLog(reason => ControlLog.RequestRefused(server, reason), clock);

        for (int i = 0; i < 10; i++)
        {
            refusals.Say("no AH");
            refusals.Say("no IPComp");
        }

        Assert.Equal(["no AH", "no IPComp"], Said(server));

        clock.Advance(TimeSpan.FromSeconds(3599));
        refusals.Say("no AH");
        Assert.Equal(2, Said(server).Length);

        clock.Advance(TimeSpan.FromSeconds(1));
        refusals.Say("no AH");
        refusals.Say("no AH");
        Assert.Equal(["no AH", "no IPComp", "no AH"], Said(server));
    }

    [Fact]
    public void Say_EverNewReasons_AreBoundedInAnHour()
    {
        using var server = new ServerHarness();
        var clock = new ManualClock();
        var refusals = new RefusalLog(reason => ControlLog.RequestRefused(server, reason), clock);

        for (int i = 0; i < 1000; i++)
        {
            refusals.Say($"reason {i}");
        }

        Assert.Equal(RefusalLog.MaximumReasons, Said(server).Length);

        clock.Advance(TimeSpan.FromSeconds(3600));
        refusals.Say("reason 999");
        Assert.Equal(RefusalLog.MaximumReasons + 1, Said(server).Length);
    }

    private static string[] Said(ServerHarness server) =>
        [.. server.Log.Where(line => line.StartsWith("3008 ", StringComparison.Ordinal)).Select(line => line["3008 A request was refused: ".Length..].Trim())];
}
