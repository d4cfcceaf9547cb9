using System.Globalization;
using System.Text.Json.Nodes;
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

    /// <summary>One result file of several: of two equal measurements the later file's. Machine and settings are the first's; the parts have their own.</summary>
    public static ResultFile Merge(IReadOnlyList<ResultFile> files)
    {
        var merged = new ResultFile { Started = files[0].Started, Machine = files[0].Machine, Seed = files[0].Seed, Settings = files[0].Settings, Parts = files };
        foreach (var (run, file) in files.Index())
        {
            merged.Measurements.RemoveAll(m => file.Find(m.Experiment, m.Subject, m.Variant, m.Metric) is not null);
            merged.Measurements.AddRange(file.Measurements.Select(m => m with { Run = run }));
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
        bool several = results.Parts.Count > 1;
        var told = new List<(string Name, string Value)>();
        foreach (var (number, file) in (results.Parts is { Count: > 0 } parts ? parts : [results]).Index())
        {
            foreach (var (name, value) in FactsOfOne(file).Except(told).ToArray()) // of a later run what differs from those before
            {
                told.Add((name, value));
                yield return (several && number > 0 ? $"{name}, file {number + 1}" : name, value);
            }
        }
    }

    /// <summary>What is not the same of the machine and the method of two runs, one line each; the time, the load and the seed of a run are always its own.</summary>
    public static IEnumerable<string> Differences(ResultFile first, ResultFile second)
    {
        var after = Comparable(second).ToDictionary(fact => fact.Name, fact => fact.Value);
        return Comparable(first).Where(fact => after.GetValueOrDefault(fact.Name) is { } other && other != fact.Value)
            .Select(fact => $"{fact.Name}: {fact.Value} | {after[fact.Name]}");
    }

    // Most programs begin what they say of their version with their name.
    private static string Named(string name, string value) => value.StartsWith(name, StringComparison.OrdinalIgnoreCase) ? value : $"{name} {value}";

    // Versions one by one, as not both runs need have the same subjects; memory in GB, since kernels keep now more and now less for themselves.
    private static IEnumerable<(string Name, string Value)> Comparable(ResultFile results) => FactsOfOne(results)
        .Where(fact => fact.Name is not ("run" or "loadAverage" or "versions" or "memoryBytes"))
        .Concat((results.Machine["versions"] as JsonObject ?? []).Select(version => (version.Key, $"{version.Value}")))
        .Append(("memory, GB", string.Create(CultureInfo.InvariantCulture, $"{double.Parse($"{results.Machine["memoryBytes"]}", CultureInfo.InvariantCulture) / 1e9:0.0}")));

    private static IEnumerable<(string Name, string Value)> FactsOfOne(ResultFile results)
    {
        var s = results.Settings;
        foreach (var (name, value) in results.Machine)
        {
            yield return (name, value is JsonObject inner ? string.Join("; ", inner.Select(v => Named(v.Key, $"{v.Value}"))) : $"{value}");
        }

        yield return ("run", FormattableString.Invariant($"{results.Started:yyyy-MM-dd HH:mm} UTC, seed {results.Seed}, {(s.Full ? "full" : "short")} profile"));
        yield return ("loads", FormattableString.Invariant($"{s.Seconds} s after {s.WarmUp} s of warm-up; trials {s.TrialSeconds} s, confirmed {s.ConfirmSeconds} s, rates {s.Resolution} apart"));
        yield return ("for every subject", FormattableString.Invariant($"queues of {s.QueueLength} packets, socket buffers {(s.SocketBuffer == 0 ? "of the host" : $"{s.SocketBuffer} bytes")}, pinning {s.Pinning}"));
    }
}
