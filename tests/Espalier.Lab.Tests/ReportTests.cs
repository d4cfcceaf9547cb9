using System.Text.Json.Nodes;
using System.Xml.Linq;
using Espalier.Lab.Reporting;
using Espalier.Lab.Results;
using Spectre.Console;

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

    // A median beyond the goal is not the goal reached, where the interval says that it may not be; of one sample there is no interval.
    [Theory]
    [InlineData(new[] { 16.0, 16.1, 16.2 }, "holds")]
    [InlineData(new[] { 14.0, 16.0, 18.0 }, "median holds")]
    [InlineData(new[] { 12.0, 14.0, 17.0 }, "median does not hold")]
    [InlineData(new[] { 10.0, 10.1, 10.2 }, "does not hold")]
    [InlineData(new[] { 16.0 }, "holds, no interval")]
    [InlineData(new[] { 14.0 }, "does not hold, no interval")]
    public void Goals_Intervals_DecideHowMuchIsSaid(double[] ratios, string outcome)
    {
        var file = Samples.Empty();
        foreach (var (i, ratio) in ratios.Index())
        {
            Samples.Add(file, "tcp", "libipsec", "", "one stream", "Gb/s", i, 1);
            Samples.Add(file, "tcp", "espalier", "ipsec-mb", "one stream", "Gb/s", i, ratio);
        }

        Assert.Equal(outcome, Assert.Single(GoalTable.Evaluate(file)).Outcome);
    }

    // A rate that the generator could not exceed is what a subject carries at least.
    [Theory]
    [InlineData(false, false, 3.0, "", "does not hold, no interval")]
    [InlineData(true, false, 3.0, "≥ ", "not known: the generator ended the search")]
    [InlineData(true, false, 5.0, "≥ ", "holds, no interval")]
    [InlineData(false, true, 3.0, "≤ ", "does not hold, no interval")]
    [InlineData(false, true, 5.0, "≤ ", "not known: the generator ended the search")]
    [InlineData(true, true, 5.0, "≈ ", "not known: the generator ended the search")]
    public void Goals_GeneratorEndedASearch_AreBounds(bool ours, bool theirs, double ratio, string bound, string outcome)
    {
        var file = Samples.Empty();
        file.Add("udp", "libipsec", "", "64 B, zero loss", "packets/s", 0, 100, new JsonObject { ["generatorLimited"] = theirs });
        file.Add("udp", "espalier", "ipsec-mb", "64 B, zero loss", "packets/s", 0, 100 * ratio, new JsonObject { ["generatorLimited"] = ours });
        var row = Assert.Single(GoalTable.Evaluate(file));
        Assert.Equal((bound, outcome), (row.Bound, row.Outcome));
    }

    [Fact]
    public void Verdict_Slow_GeneratorEndedASearch_SaysAtLeast()
    {
        var file = Samples.Empty();
        file.Add("udp", "libipsec", "", "64 B, zero loss", "packets/s", 0, 80_000, new JsonObject { ["generatorLimited"] = true });
        file.Add("udp", "ceiling", "gcm", "64 B, zero loss", "packets/s", 0, 300_000, new JsonObject { ["generatorLimited"] = false });
        var verdict = Verdicts.Slow(file);
        Assert.Contains("libipsec ≥ 80,000 packets/s, ceiling:gcm 300,000 packets/s (≤ 3.75 times)", verdict.Text, StringComparison.Ordinal);
        Assert.Equal("not measured", verdict.Word);
    }

    // Of one turn that was limited the median is a bound, whichever turn came last.
    [Fact]
    public void Add_LaterTurnWithoutLimit_StaysABound()
    {
        var file = Samples.Empty();
        file.Add("udp", "libipsec", "", "64 B, zero loss", "packets/s", 0, 80_000, new JsonObject { ["generatorLimited"] = true });
        file.Add("udp", "libipsec", "", "64 B, zero loss", "packets/s", 1, 90_000, new JsonObject { ["generatorLimited"] = false });
        Assert.True(Assert.Single(file.Measurements).IsAtLeast);
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

    // What nobody reaches says little of the one who does not.
    [Fact]
    public void Goals_AgainstLibipsec_SayWhatTheCeilingAndNoTunnelReach()
    {
        var rows = GoalTable.Evaluate(Samples.Measured()).ToList();
        Assert.Equal(["18.0", "40.0"], rows.Single(r => r.Measure == "tcp: one stream" && r.Against == "libipsec").Bounds);
        Assert.Equal(["", ""], rows.Single(r => r.Measure == "tcp: one stream" && r.Against == "ceiling").Bounds);
        Assert.All(rows, row => Assert.Equal(GoalRow.Head.Length, row.Names.Length + row.Bounds.Length + 3));
    }

    [Fact]
    public void ResultTables_Goals_ArePrintedWithTheirBounds()
    {
        using var text = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = 200;
        ResultTables.Print(console, Samples.Measured());
        Assert.Contains("ratio or value [95 %]", text.ToString(), StringComparison.Ordinal);
        Assert.Contains("40.0", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Comparison_SameRun_ChangesNothing()
    {
        var comparison = new Comparison(Samples.Measured(), Samples.Measured());
        Assert.DoesNotContain(comparison.Changes, change => change.BeyondNoise);
        Assert.All(comparison.Ratios, ratio => Assert.True(ratio.Agree && ratio.Mutual));
    }

    // Turns that lost probes are not left out, as if nothing had changed.
    [Fact]
    public void Comparison_TurnsThatLostProbes_Count()
    {
        var (one, two) = (Samples.Empty(), Samples.Empty());
        for (int i = 0; i < 3; i++)
        {
            Samples.Add(one, "latency", "openvpn", "", "under TCP, worst", "µs", i, 100);
            Samples.Add(two, "latency", "openvpn", "", "under TCP, worst", "µs", i, i < 2 ? double.PositiveInfinity : 100);
        }

        var change = Assert.Single(new Comparison(one, two).Changes);
        Assert.Equal(double.PositiveInfinity, change.Ratio.Value);
        Assert.Null(change.Ratio.Low);
        Assert.Empty(new Comparison(two, two).Changes);
    }

    [Fact]
    public void Comparison_TwiceAsFast_IsBeyondTheNoise()
    {
        var comparison = new Comparison(Samples.Measured(8), Samples.Measured(16));
        var change = Assert.Single(comparison.Changes, c => c.BeyondNoise);
        Assert.Equal(("espalier:ipsec-mb", "one stream"), (change.Label, change.Metric));
        Assert.Equal(2, change.Ratio.Value, 6);
        Assert.Single(comparison.Ratios, ratio => !ratio.Agree);
        Assert.Single(comparison.Ratios, ratio => !ratio.Mutual);
    }

    // Turns of two runs have nothing in common: a subject of one file is not set against libipsec of another.
    [Fact]
    public void Merge_SubjectsOfTwoRuns_HaveNoRatio()
    {
        var (theirs, ours) = (Samples.Measured(), Samples.Measured());
        ours.Measurements.RemoveAll(m => m.Subject != "espalier");
        theirs.Measurements.RemoveAll(m => m.Subject == "espalier");
        var merged = Report.Merge([theirs, ours]);
        Assert.DoesNotContain(Ratio.Of(merged), ratio => ratio.Subject == "espalier");
        Assert.Contains(Ratio.Of(merged), ratio => ratio.Subject == "direct");
        Assert.DoesNotContain(GoalTable.Evaluate(merged), row => row.Against == "libipsec");
        Assert.Contains("of another run", Verdicts.Slow(merged).Text, StringComparison.Ordinal);
    }

    // What was measured decides, also where it is less than a whole run.
    [Fact]
    public void Verdicts_SomeExperiments_SayWhatTheyCan()
    {
        var file = Samples.Empty();
        Assert.Equal("No results of memory or buffering for libipsec in these files.", Verdicts.Buffering(file).Text);
        Assert.Equal("No results of tcp or udp for libipsec in these files.", Verdicts.Slow(file).Text);
        file.SetSeries("buffering", "libipsec", "", "memory against offered load", "MB", new Axis("offered", "packets/s", [1000, 160_000]), [10, 170], []);
        Samples.Add(file, "udp", "libipsec", "", "64 B, zero loss", "packets/s", 0, 80_000);
        Samples.Add(file, "udp", "ceiling", "gcm", "64 B, zero loss", "packets/s", 0, 300_000);
        Assert.StartsWith("libipsec grew to 17.0 times", Verdicts.Buffering(file).Text, StringComparison.Ordinal);
        Assert.Equal(("holds", "64-byte UDP without loss: libipsec 80,000 packets/s, ceiling:gcm 300,000 packets/s (3.75 times)."), (Verdicts.Slow(file).Word, Verdicts.Slow(file).Text));
        Samples.Add(file, "tcp", "libipsec", "", "one stream", "Gb/s", 0, 6);
        Samples.Add(file, "tcp", "ceiling", "gcm", "one stream", "Gb/s", 0, 9);
        Assert.Equal("holds in part", Verdicts.Slow(file).Word);
    }

    // The verdict's ratio is that of the tables: paired by alternation, of the variant that is named.
    [Fact]
    public void Verdict_Slow_SaysThePairedRatioOfTheVariant()
    {
        var file = Samples.Empty();
        double[] theirs = [1, 2, 4], ours = [4, 18, 32]; // 4, 9 and 8 times, though the medians are 9 times apart
        for (int i = 0; i < 3; i++)
        {
            Samples.Add(file, "tcp", "libipsec", "", "one stream", "Gb/s", i, theirs[i]);
            Samples.Add(file, "tcp", "espalier", "ipsec-mb", "one stream", "Gb/s", i, ours[i]);
        }

        Assert.Contains("espalier:ipsec-mb 18.0 Gb/s (8.00 times", Verdicts.Slow(file).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void Report_Ratios_HaveBothIntervals()
    {
        Report.Write([Samples.Measured()], _folder);
        Assert.All(
            (string[])[File.ReadAllText(Path.Combine(_folder, "report.md")), File.ReadAllText(Path.Combine(_folder, "report.html"))],
            text =>
            {
                Assert.Contains("95 % confidence interval", text, StringComparison.Ordinal);
                Assert.Contains("95 % mutual interval", text, StringComparison.Ordinal);
            });
    }

    [Fact]
    public void Facts_TwoMachines_BothAreSaid()
    {
        var (one, two) = (Samples.Measured(), Samples.Measured());
        two.Machine["cpu"] = "another one";
        var facts = Report.Facts(Report.Merge([one, two])).ToArray();
        Assert.Contains(("cpu", "a <fast> one"), facts);
        Assert.Contains(("cpu, file 2", "another one"), facts);
        Assert.Single(facts, fact => fact.Name.StartsWith("kernel", StringComparison.Ordinal));
        Assert.Equal("cpu: a <fast> one | another one", Assert.Single(Report.Differences(one, two)));
    }

    [Fact]
    public void Differences_Versions_AreThoseThatBothHave()
    {
        var (one, two) = (Samples.Measured(), Samples.Measured());
        two.Machine["versions"] = new System.Text.Json.Nodes.JsonObject { ["espalier"] = "0.1.0", ["openvpn"] = "2.6" };
        Assert.Empty(Report.Differences(one, two));
        two.Machine["versions"]!["espalier"] = "0.2.0";
        two.Machine["memoryBytes"] = (1L << 34) + 8192; // what the kernel keeps for itself differs a little from boot to boot
        Assert.Equal("espalier: 0.1.0 | 0.2.0", Assert.Single(Report.Differences(one, two)));
    }

    [Theory]
    [InlineData(1234.5, "1,234")]
    [InlineData(12.34, "12.3")]
    [InlineData(1.234, "1.23")]
    [InlineData(0.0871, "0.0871")]
    [InlineData(0.12345, "0.123")]
    [InlineData(0, "0")]
    [InlineData(double.NaN, "–")]
    [InlineData(double.PositiveInfinity, "∞")]
    public void Number_AnySize_KeepsThreeDigits(double value, string expected) => Assert.Equal(expected, ResultTables.Number(value));

    [Fact]
    public void Name_UnitThatTheMetricEndsWith_IsSaidOnce() => Assert.Equal("idle, collections", ResultTables.Name("idle, collections", "collections"));

    // Which load was when is in the picture; a file from before that was noted has a picture without.
    [Fact]
    public void Memory_PhasesNoted_AreNamedInThePicture()
    {
        const string title = "Resident memory over time: idle, TCP, two floods, afterwards", phase = ">UDP flood, 1300 B</text>";
        var file = Samples.Measured();
        string Picture() => Sections.Build(file).SelectMany(section => section.Figures).Single(figure => figure.Title == title).Svg;
        Assert.DoesNotContain(phase, Picture(), StringComparison.Ordinal);
        file.Find("memory", "libipsec", "", "over time")!.Parameters["phases"] = new JsonArray(
            new JsonObject { ["name"] = "idle", ["from"] = 0.0 }, new JsonObject { ["name"] = "UDP flood, 1300 B", ["from"] = 1.5 });
        Assert.Contains(phase, Picture(), StringComparison.Ordinal);
    }

    // A host that stands still for a second and a half of two has no late wake-up in 99 % of cases.
    [Theory]
    [InlineData("flood, delay worst", 1_500_000, "holds")]
    [InlineData("flood, delay worst", 9_000, "does not hold within the cap")]
    [InlineData("flood, key round trip worst", 1_500_000, "holds")]
    public void Verdict_Lockup_LooksAtTheWorst(string metric, double microseconds, string word)
    {
        var file = Samples.Empty();
        Samples.Add(file, "lockup", "libipsec", "", "flood, delay 99 %", "µs", 0, 2300);
        Samples.Add(file, "lockup", "libipsec", "", "flood, program start", "ms", 0, 1.7);
        Samples.Add(file, "lockup", "libipsec", "", metric, "µs", 0, microseconds);
        Samples.Add(file, "lockup", "libipsec", "", metric, "µs", 1, 1);
        Assert.Equal(word, Verdicts.Lockup(file).Word);
    }

    [Fact]
    public void Verdict_OutOfMemory_CountsFloodsApartFromCages()
    {
        var file = Samples.Empty();
        for (int turn = 0; turn < 3; turn++)
        {
            Samples.Add(file, "oom", "libipsec", "", "64 MiB, 20 %: until the OOM killer", "s", turn, turn == 0 ? double.PositiveInfinity : 2);
            Assert.Contains(turn == 0 ? "in 0 of 1 cages" : $"in {turn} of {turn + 1} floods in 1 cages", Verdicts.OutOfMemory(file).Text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Verdict_Lockup_SaysTheCapOfItsMemory()
    {
        var file = Samples.Empty();
        Samples.Add(file, "lockup", "libipsec", "", "flood, delay 99 %", "µs", 0, 2300);
        Samples.Add(file, "lockup", "libipsec", "", "flood, program start", "ms", 0, 1.7);
        Assert.EndsWith("a program started in 1.70 ms.", Verdicts.Lockup(file).Text, StringComparison.Ordinal);
        file.Add("memory", "libipsec", "", "idle, peak", "MB", 0, 10, new JsonObject { ["limitBytes"] = 1L << 32 });
        Assert.EndsWith(" libipsec did not reach the cap of its memory, 4 GiB.", Verdicts.Lockup(file).Text, StringComparison.Ordinal);
        file.Add("lockup", "libipsec", "", "flood, free memory lost", "MB", 0, 900, new JsonObject { ["limitBytes"] = 3L << 29 });
        file.Failures.Add(new Failure("lockup", "libipsec", "", 0, "stopped at 1.6 GB of resident memory"));
        Assert.EndsWith(" libipsec was stopped at 1.5 GiB of memory, the cap.", Verdicts.Lockup(file).Text, StringComparison.Ordinal);
    }

    [Fact]
    public void LineChart_TicksAroundZero_HaveNoMinusZero()
    {
        string svg = new LineChart("t", "x", "y", [new Line("direct", [0, 1, 2], [-60, 300, 551])], logX: false, logY: false).Draw();
        Assert.DoesNotContain(">-0<", svg, StringComparison.Ordinal);
    }

    [Fact]
    public void Merge_TwoFiles_LaterMeasurementCounts()
    {
        var merged = Report.Merge([Samples.Measured(8), Samples.Measured(16)]);
        Assert.Single(merged.Measurements, m => m.Metric == "one stream" && m.Subject == "espalier");
        Assert.Equal(0.5 * 16 * 1.2, merged.Find("tcp", "espalier", "ipsec-mb", "one stream")!.Value!.Value, 6);
    }
}
