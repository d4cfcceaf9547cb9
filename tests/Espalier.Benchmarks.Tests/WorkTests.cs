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

    public static TheoryData<PacketSize> SmallAndMixed => [new PacketSize(64), PacketSize.Imix];

    [Theory]
    [MemberData(nameof(SmallAndMixed))]
    public void Esp_EachSize_OpensWhatItSealed(PacketSize size)
    {
        using var scenario = new EspScenario(CryptoEngine.System, size);
        scenario.Seal();
        scenario.SealBatch();
        Assert.Equal(2 * Workload.Packets, scenario.Open());
        Assert.Equal(2 * Workload.Packets, scenario.OpenBatch());
        Assert.Equal(2 * Workload.Packets, scenario.OpenBare());
    }

    // BenchmarkDotNet sorts the rows of a table by their parameters, of any type that can be compared.
    [Fact]
    public void Sizes_Compared_AreInTheOrderOfNumbers()
    {
        IComparable[] sizes = [PacketSize.Imix, new PacketSize(9_000), new PacketSize(1_400), new PacketSize(64), new PacketSize(576)];
        Assert.Equal(["64", "576", "1400", "9000", "IMIX"], sizes.Order().Select(size => size.ToString()));
    }

    // Seven rounds of twelve packets; one super-packet for each of three sizes.
    [Fact]
    public void Offload_Imix_JoinsEachSizeByItself()
    {
        var offload = new OffloadBenchmarks { Size = PacketSize.Imix };
        offload.Setup();
        Assert.Equal((7 * 12, 7 * 3), (offload.Segment(), offload.Coalesce()));
    }
}
