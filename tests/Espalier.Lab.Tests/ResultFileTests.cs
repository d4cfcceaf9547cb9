using System.Text.Json.Nodes;
using Espalier.Lab.Hosts;
using Espalier.Lab.Results;

namespace Espalier.Lab.Tests;

public sealed class ResultFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("espalier-lab-results").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Write_Results_KeepToThePublishedSchema()
    {
        string path = Write(Samples.Measured());
        Assert.Empty(JsonSchema.Validate(Schema(), JsonNode.Parse(File.ReadAllText(path))));
    }

    [Theory]
    [InlineData("seed", "\"one\"")]
    [InlineData("version", "4")]
    [InlineData("ratios", "[{}]")]
    [InlineData("surplus", "1")]
    [InlineData("measurements", "[{}]")]
    public void Schema_WrongMember_IsRefused(string member, string value)
    {
        var file = JsonNode.Parse(File.ReadAllText(Write(Samples.Measured())))!.AsObject();
        file[member] = JsonNode.Parse(value);
        Assert.NotEmpty(JsonSchema.Validate(Schema(), file));
    }

    // Files that are kept were written by earlier versions of the lab: they are read, and hold what the schema says of them.
    [Fact]
    public void Read_KeptResults_KeepToThePublishedSchema() =>
        Assert.All(Directory.GetFiles(Path.Combine(Published.Root, "docs/results"), "*.json"), path =>
        {
            Assert.Empty(JsonSchema.Validate(Schema(), JsonNode.Parse(File.ReadAllText(path))));
            Assert.NotEmpty(ResultFile.Read(path).Measurements);
        });

    [Fact]
    public void Write_RatiosKnown_HoldsThemWithBothIntervals()
    {
        var file = Samples.Measured(8);
        file.SetRatios(known: true);
        string path = Write(file);
        Assert.Empty(JsonSchema.Validate(Schema(), JsonNode.Parse(File.ReadAllText(path))));
        var ratio = JsonNode.Parse(File.ReadAllText(path))!["ratios"]!.AsArray().Single(r => (string)r!["subject"]! == "espalier" && (string)r["metric"]! == "one stream")!;
        Assert.Equal("libipsec", (string)ratio["against"]!);
        Assert.Equal(8, (double)ratio["value"]!, 6);
        Assert.Equal(5, ratio["samples"]!.AsArray().Count);
        Assert.All((string[])["confidence95", "mutual95"], name => Assert.Equal(2, ratio[name]!.AsArray().Count));
        Assert.Empty(ResultFile.Read(path).Ratios); // computed anew from the samples
    }

    [Fact]
    public void Write_InfiniteRatio_KeepsToThePublishedSchema()
    {
        var file = Samples.Empty();
        for (int i = 0; i < 6; i++)
        {
            Samples.Add(file, "latency", "libipsec", "", "under TCP, worst", "µs", i, 10);
            Samples.Add(file, "latency", "openvpn", "", "under TCP, worst", "µs", i, i < 5 ? double.PositiveInfinity : 20);
        }

        file.SetRatios(known: true);
        Assert.Equal(double.PositiveInfinity, Assert.Single(file.Ratios).Value);
        Assert.Empty(JsonSchema.Validate(Schema(), JsonNode.Parse(File.ReadAllText(Write(file)))));
    }

    // A turn that Ctrl-C ended is done again by --resume, and may fail sooner than it did.
    [Fact]
    public void Forget_TurnThatDidNotEnd_LeavesNothingOfIt()
    {
        var file = Samples.Empty();
        Samples.Add(file, "tcp", "libipsec", "", "one stream", "Gb/s", 0, 2);
        Samples.Add(file, "tcp", "libipsec", "", "one stream", "Gb/s", 1, 4);
        Samples.Add(file, "tcp", "libipsec", "", "four streams both ways", "Gb/s", 1, 4);
        Samples.Add(file, "tcp", "direct", "", "one stream", "Gb/s", 1, 20);
        file.Failures.Add(new Failure("tcp", "libipsec", "", 1, "stopped"));
        file.Failures.Add(new Failure("tcp", "libipsec", "", 0, "no answer"));
        file.Forget("tcp", "libipsec", "", 1);
        var left = Assert.Single(file.Measurements, m => m.Subject == "libipsec");
        Assert.Equal(("one stream", 2), (left.Metric, left.Value));
        Assert.Equal([2, null], left.Samples);
        Assert.Equal(0, Assert.Single(file.Failures).Alternation);
        Assert.Equal(20, file.Find("tcp", "direct", "", "one stream")!.Value);
    }

    [Fact]
    public void Read_WrittenFile_IsTheSame()
    {
        var before = Samples.Measured();
        var after = ResultFile.Read(Write(before));
        Assert.Equal(before.Settings, after.Settings);
        Assert.Equal(before.Measurements.Count, after.Measurements.Count);
        Assert.Equal(before.Measurements.Select(m => m.Samples), after.Measurements.Select(m => m.Samples));
        Assert.Equal(double.PositiveInfinity, after.Find("latency", "libipsec", "", "under TCP, 99 %")!.Value);
    }

    [Fact]
    public void Add_AlternationThatFailed_LeavesAGap()
    {
        var file = Samples.Empty();
        file.Add("tcp", "direct", "", "one stream", "Gb/s", 0, 10, []);
        file.Add("tcp", "direct", "", "one stream", "Gb/s", 2, 20, []);
        var m = Assert.Single(file.Measurements);
        Assert.Equal([10, null, 20], m.Samples);
        Assert.Equal(15, m.Value);
    }

    [Theory]
    [InlineData("{", "is no result file")]
    [InlineData("[]", "is no result file")]
    public void Read_NoResults_SaysSoInOneLine(string text, string expected)
    {
        string path = Path.Combine(_folder, "broken.json");
        File.WriteAllText(path, text);
        Assert.Contains(expected, Assert.Throws<LabException>(() => ResultFile.Read(path)).Message, StringComparison.Ordinal);
    }

    private static JsonObject Schema() => JsonNode.Parse(File.ReadAllText(Path.Combine(Published.Root, "docs/lab-results.schema.json")))!.AsObject();

    private string Write(ResultFile file)
    {
        string path = Path.Combine(_folder, "results.json");
        file.Write(path);
        return path;
    }
}
