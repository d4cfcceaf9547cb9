using Espalier.DataPlane.Counters;
using Espalier.Ipsec;

namespace Espalier.DataPlane.Tests;

public sealed class DropReasonTests
{
    public static TheoryData<DropReason> Reasons =>
        [.. Enum.GetValues<DropReason>().Where(reason => reason is not DropReason.None and not DropReason.Count)];

    [Theory]
    [MemberData(nameof(Reasons))]
    public void DropReason_Provoked_CountsOnceAndChangesNothingElse(DropReason reason)
    {
        Assert.True(DropScenarios.All.TryGetValue(reason, out var scenario), $"No scenario provokes {reason}.");
        scenario();
    }

    [Fact]
    public void ByXfrmStatistic_EveryReasonOnce_SumsToAllDropsButTheQuietOne()
    {
        var counters = new DataPlaneCounters();
        var worker = counters.Add("w");
        foreach (var reason in Enum.GetValues<DropReason>().Where(reason => reason is not DropReason.None and not DropReason.Count))
        {
            worker.Drop(reason);
        }

        var snapshot = counters.Snapshot();
        var byName = snapshot.ByXfrmStatistic();
        Assert.Equal(snapshot.TotalDrops - 1, byName.Sum(pair => pair.Value));
        Assert.Equal("XfrmInError", byName[0].Key);
        Assert.Equal(byName.Count, byName.Select(pair => pair.Key).Distinct().Count());
    }
}
