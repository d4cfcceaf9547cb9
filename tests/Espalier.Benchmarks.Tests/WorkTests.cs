using Espalier.Benchmarks.Esp;
using Espalier.Benchmarks.Packets;
using Espalier.Benchmarks.Tables;
using Espalier.Ipsec.Algorithms.Engines;

namespace Espalier.Benchmarks.Tests;

/// <summary>What is timed does its work.</summary>
public sealed class WorkTests
{
    private const int Lookups = 64;

    [Theory]
    [InlineData(1)]
    [InlineData(100)]
    public void Lookups_EitherDesign_FindEachEntry(int entries)
    {
        var tables = new LookupBenchmarks { Entries = entries };
        tables.Setup();
        Assert.Equal((Lookups, Lookups, Lookups), (tables.Sad(), tables.Spd(), tables.FlowCache()));
        Assert.Equal((Lookups, Lookups), (tables.LibipsecStyleSad(), tables.LibipsecStyleSpd()));
    }

    [Theory]
    [InlineData("64")]
    [InlineData(Workload.Imix)]
    public void Esp_EachSize_OpensWhatItSealed(string size)
    {
        using var scenario = new EspScenario(CryptoEngine.System, size);
        scenario.Seal();
        scenario.SealBatch();
        Assert.Equal(2 * Workload.Packets, scenario.Open());
        Assert.Equal(2 * Workload.Packets, scenario.OpenBatch());
        Assert.Equal(2 * Workload.Packets, scenario.OpenBare());
    }

    // Seven rounds of twelve packets; one super-packet for each of three sizes.
    [Fact]
    public void Offload_Imix_JoinsEachSizeByItself()
    {
        var offload = new OffloadBenchmarks { Size = Workload.Imix };
        offload.Setup();
        Assert.Equal((7 * 12, 7 * 3), (offload.Segment(), offload.Coalesce()));
    }
}
