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
    [InlineData("version", "2")]
    [InlineData("surplus", "1")]
    [InlineData("measurements", "[{}]")]
    public void Schema_WrongMember_IsRefused(string member, string value)
    {
        var file = JsonNode.Parse(File.ReadAllText(Write(Samples.Measured())))!.AsObject();
        file[member] = JsonNode.Parse(value);
        Assert.NotEmpty(JsonSchema.Validate(Schema(), file));
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
