using System.Xml.Linq;
using Espalier.Lab.Reporting;

namespace Espalier.Lab.Tests;

public sealed class ReportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("espalier-lab-report").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Report_Page_NeedsNothingElse()
    {
        Report.Write([Samples.Measured()], _folder);
        string page = File.ReadAllText(Path.Combine(_folder, "report.html"));
        foreach (string outside in (string[])["src=", "<link", "<script", "@import", "url("])
        {
            Assert.DoesNotContain(outside, page, StringComparison.OrdinalIgnoreCase);
        }

        Assert.DoesNotContain("http", page.Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Contains("a &lt;fast&gt; one", page, StringComparison.Ordinal);
        Assert.Contains("prefers-color-scheme:dark", page, StringComparison.Ordinal);
        Assert.Contains("@media print", page, StringComparison.Ordinal);
    }

    [Fact]
    public void Report_Figures_HaveTextAlternatives()
    {
        Report.Write([Samples.Measured()], _folder);
        string[] figures = Directory.GetFiles(Path.Combine(_folder, "figures"));
        Assert.NotEmpty(figures);
        XNamespace svg = "http://www.w3.org/2000/svg";
        Assert.All(figures, file =>
        {
            var root = XDocument.Load(file).Root!;
            Assert.Equal("img", (string?)root.Attribute("role"));
            Assert.NotEmpty(root.Element(svg + "title")!.Value);
            Assert.NotEmpty(root.Element(svg + "desc")!.Value);
            Assert.DoesNotContain("NaN", root.ToString(), StringComparison.Ordinal);
        });
    }

    [Fact]
    public void Report_Markdown_HasEveryClaimWithItsCommand()
    {
        Report.Write([Samples.Measured()], _folder);
        string text = File.ReadAllText(Path.Combine(_folder, "report.md"));
        Assert.All((string[])["C1", "C2", "C3", "C4", "C5", "C6"], claim => Assert.Contains($"## {claim}:", text, StringComparison.Ordinal));
        Assert.Contains("-- run tcp udp latency scale --full", text, StringComparison.Ordinal);
        Assert.Contains("openvpn", text, StringComparison.Ordinal); // what did not work is said
    }

    [Fact]
    public void Verdicts_Data_DecideEitherWay()
    {
        Assert.Equal("holds", Verdicts.Buffering(Samples.Measured()).Word);
        Assert.Equal("holds", Verdicts.Slow(Samples.Measured()).Word);
        Assert.Equal("not measured", Verdicts.Lockup(Samples.Measured()).Word);

        var flat = Samples.Empty();
        flat.Add("memory", "libipsec", "", "UDP flood, 64 B, peak over idle", "ratio", 0, 1.1, []);
        flat.Add("oom", "libipsec", "", "64 MiB, 20 %: until the OOM killer", "s", 0, double.PositiveInfinity, []);
        Assert.Equal("does not hold", Verdicts.Buffering(flat).Word);
        Assert.Equal("does not hold", Verdicts.OutOfMemory(flat).Word);
    }

    [Theory]
    [InlineData(16, true)]
    [InlineData(14, false)]
    public void Goals_RatioOfMedians_DecidesWhetherTheyHold(double factor, bool holds)
    {
        var row = GoalTable.Evaluate(Samples.Measured(factor)).Single(r => r.Measure == "tcp: one stream" && r.Against == "libipsec");
        Assert.Equal(factor, row.Ratio.Value, 6);
        Assert.Equal(holds, row.Holds);
    }

    [Fact]
    public void Comparison_SameRun_ChangesNothing()
    {
        var comparison = new Comparison(Samples.Measured(), Samples.Measured());
        Assert.DoesNotContain(comparison.Changes, change => change.BeyondNoise);
        Assert.All(comparison.Ratios, ratio => Assert.True(ratio.Agree));
    }

    [Fact]
    public void Comparison_TwiceAsFast_IsBeyondTheNoise()
    {
        var comparison = new Comparison(Samples.Measured(8), Samples.Measured(16));
        var change = Assert.Single(comparison.Changes, c => c.BeyondNoise);
        Assert.Equal(("espalier:ipsec-mb", "one stream"), (change.Label, change.Metric));
        Assert.Equal(2, change.Ratio.Value, 6);
        Assert.Single(comparison.Ratios, ratio => !ratio.Agree);
    }

    [Fact]
    public void Merge_TwoFiles_LaterMeasurementCounts()
    {
        var merged = Report.Merge([Samples.Measured(8), Samples.Measured(16)]);
        Assert.Single(merged.Measurements, m => m.Metric == "one stream" && m.Subject == "espalier");
        Assert.Equal(0.5 * 16 * 1.2, merged.Find("tcp", "espalier", "ipsec-mb", "one stream")!.Value!.Value, 6);
    }
}
