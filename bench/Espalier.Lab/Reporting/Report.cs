using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>Writes the report of one or more result files.</summary>
internal static class Report
{
    /// <summary>Writes report.html, which holds all in itself, and report.md with its pictures in figures/.</summary>
    public static void Write(IReadOnlyList<ResultFile> files, string folder)
    {
        var results = Merge(files);
        var sections = Sections.Build(results);
        Directory.CreateDirectory(Path.Combine(folder, "figures"));
        File.WriteAllText(Path.Combine(folder, "report.html"), HtmlReport.Write(results, sections));
        File.WriteAllText(Path.Combine(folder, "report.md"), new MarkdownReport(results, sections).Write());
        foreach (var figure in sections.SelectMany(section => section.Figures))
        {
            File.WriteAllText(Path.Combine(folder, "figures", Svg.Identifier(figure.Title) + ".svg"), figure.Svg);
        }
    }

    /// <summary>Fills the places of a Markdown document; <paramref name="folder"/> is where <see cref="Write"/> put the pictures.</summary>
    public static void Fill(IReadOnlyList<ResultFile> files, string document, string folder)
    {
        var results = Merge(files);
        string figures = Path.GetRelativePath(Path.GetDirectoryName(Path.GetFullPath(document))!, Path.Combine(folder, "figures"));
        var report = new MarkdownReport(results, Sections.Build(results), figures);
        File.WriteAllText(document, DocumentBlocks.Fill(File.ReadAllText(document), report.Part));
    }

    /// <summary>One result file of several: of two equal measurements the later file's. Machine and settings are the first's.</summary>
    public static ResultFile Merge(IReadOnlyList<ResultFile> files)
    {
        var merged = new ResultFile { Started = files[0].Started, Machine = files[0].Machine, Seed = files[0].Seed, Settings = files[0].Settings };
        foreach (var file in files)
        {
            merged.Measurements.RemoveAll(m => file.Find(m.Experiment, m.Subject, m.Variant, m.Metric) is not null);
            merged.Measurements.AddRange(file.Measurements);
            merged.Failures.AddRange(file.Failures);
            merged.Subjects.AddRange(file.Subjects.Except(merged.Subjects));
            merged.Experiments.AddRange(file.Experiments.Except(merged.Experiments));
            merged.Missing.AddRange(file.Missing.Where(m => !merged.Missing.Contains(m)));
        }

        return merged;
    }

    /// <summary>What a reader must know of the machine and the method, as pairs.</summary>
    public static IEnumerable<(string Name, string Value)> Facts(ResultFile results)
    {
        var s = results.Settings;
        foreach (var (name, value) in results.Machine)
        {
            yield return (name, value is System.Text.Json.Nodes.JsonObject inner ? string.Join("; ", inner.Select(v => $"{v.Key} {v.Value}")) : $"{value}");
        }

        yield return ("run", FormattableString.Invariant($"{results.Started:yyyy-MM-dd HH:mm} UTC, seed {results.Seed}, {(s.Full ? "full" : "short")} profile"));
        yield return ("loads", FormattableString.Invariant($"{s.Seconds} s after {s.WarmUp} s of warm-up; trials {s.TrialSeconds} s, confirmed {s.ConfirmSeconds} s, rates {s.Resolution} apart"));
        yield return ("for every subject", FormattableString.Invariant($"queues of {s.QueueLength} packets, socket buffers {(s.SocketBuffer == 0 ? "of the host" : $"{s.SocketBuffer} bytes")}, pinning {s.Pinning}"));
    }
}
