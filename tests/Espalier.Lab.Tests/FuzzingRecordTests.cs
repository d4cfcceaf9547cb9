using System.Text.RegularExpressions;
using Espalier.Lab.Hosts;
using Espalier.Lab.Measuring;

namespace Espalier.Lab.Tests;

public sealed partial class FuzzingRecordTests
{
    private const string Table = "words\n\n| target | meets ESP | hours | executions | paths | findings |\n| --- | --- | --- | --- | --- | --- |\n";

    [Fact]
    public void Read_Table_IsItsLines() =>
        Assert.Equal(
            [new FuzzingRecord("a-b", true, 1.25, 1_000_000, 12, 0), new FuzzingRecord("c", false, 0, 0, 0, 2)],
            FuzzingRecord.Read(Table + "| `a-b` | yes | 1.25 | 1,000,000 | 12 | 0 |\n| c | no | 0 | 0 | 0 | 2 |\n\nmore words\n| x |"));

    [Theory]
    [InlineData("| a | perhaps | 1 | 1 | 1 | 0 |")]
    [InlineData("| a | yes | an hour | 1 | 1 | 0 |")]
    [InlineData("| a | yes | -1 | 1 | 1 | 0 |")]
    [InlineData("| a | yes | 1 | 1 | 1 |")]
    [InlineData("")]
    public void Read_OtherLines_AreRefused(string line) => Assert.Throws<LabException>(() => FuzzingRecord.Read(Table + line));

    // What the lab records as fuzzed is what there is, and each of it was run.
    [Fact]
    public void Document_Table_HasEachTarget()
    {
        var records = FuzzingRecord.Read(File.ReadAllText(Path.Combine(Published.Root, FuzzingRecord.Document)));
        string[] targets = [.. Directory.EnumerateFiles(Path.Combine(Published.Root, "tests/Espalier.Fuzz/Targets"), "*.cs")
            .Select(file => Name().Match(File.ReadAllText(file)).Groups[1].Value)];
        Assert.Equal(targets.Order(), records.Select(record => record.Target).Order());
        Assert.Contains(records, record => record is { Target: "esp-inbound", MeetsEsp: true });
        Assert.All(records, record => Assert.True(record.Hours > 0 && record.Executions > 0 && record.Paths > 0));
    }

    [GeneratedRegex("string Name => \"([^\"]+)\"")]
    private static partial Regex Name();
}
