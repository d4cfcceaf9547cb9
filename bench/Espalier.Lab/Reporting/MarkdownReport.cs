using System.Text;
using Espalier.Lab.Measuring;
using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>The report as Markdown, whole or in parts; <paramref name="figures"/> is where its pictures are, as the text must say it.</summary>
internal sealed class MarkdownReport(ResultFile results, IReadOnlyList<Section> sections, string figures = "figures")
{
    /// <summary>The whole report.</summary>
    public string Write()
    {
        var text = new StringBuilder("# What IPsec in userland costs\n\n").Append(Verdicts()).Append('\n').Append(Machine());
        foreach (var section in sections)
        {
            text.Append($"\n## {section.Claim}: {section.Sentence}\n\n").Append(Findings(section, folded: false));
        }

        if (Goals() is { Length: > 0 } goals)
        {
            text.Append("\n## Espalier's goals\n\n").Append(goals);
        }

        foreach (var (number, experiment) in ResultTables.RatiosWithIntervals(results).GroupBy(ratio => ratio.Experiment).Index())
        {
            text.Append(number == 0 ? $"\n## Ratios to {Ratio.Reference}\n\n{ResultTables.AboutRatios}\n" : "").Append($"\n{experiment.Key}:\n\n");
            text.Append(Table(ResultTables.RatioHead, experiment.Select(ResultTables.RatioRow)));
        }

        if (results.Failures.Count > 0)
        {
            text.Append("\n## What did not work\n\n").Append(Failures());
        }

        return text.ToString();
    }

    /// <summary>A part by the name that <see cref="DocumentBlocks"/> uses: verdicts, machine, goals, failures or a claim; null if there is none of that name.</summary>
    public string? Part(string name) => name switch
    {
        "verdicts" => Verdicts(),
        "machine" => Machine(),
        "goals" => Goals(),
        "failures" => Failures(),
        _ => sections.FirstOrDefault(section => section.Claim == name) is { } section ? Findings(section, folded: true) : null,
    };

    private string Verdicts() => Table(["claim", "", "verdict"], sections.Select(s => (string[])[s.Claim, s.Sentence, $"**{s.Verdict.Word}**: {s.Verdict.Text}"]));

    private string Machine() => Table(["machine and method", ""], Report.Facts(results).Select(fact => (string[])[fact.Name, fact.Value]));

    private string Failures() => results.Failures.Count == 0
        ? "Nothing failed.\n"
        : string.Concat(results.Failures.Select(failure => $"- {failure.Experiment} {failure.Alternation + 1}, {failure.Label}: {failure.Message}\n"));

    private string Goals()
    {
        GoalRow[] rows = [.. GoalTable.Evaluate(results)];
        return rows.Length == 0 ? "" : Table(GoalRow.Head, rows.Select(row => (string[])[.. row.Names, row.Bound + Cell(row.Ratio, ""), .. row.Bounds, row.Target, row.Outcome]));
    }

    private string Findings(Section section, bool folded)
    {
        var text = new StringBuilder($"**{section.Verdict.Word}**: {section.Verdict.Text}\n\n    {section.Command}\n");
        foreach (var figure in section.Figures)
        {
            text.Append($"\n![{figure.Title}]({figures}/{Svg.Identifier(figure.Title)}.svg)\n");
        }

        foreach (string experiment in section.Experiments.Where(name => section.Rows(results, name).Length > 0))
        {
            Fold(text, folded, $"Figures of the experiment {experiment}: medians [95 % intervals]", Medians(section, experiment));
        }

        if (section.Notes.Count > 0)
        {
            Fold(text, folded, "What was counted, by name", Table(["counted", "", "by name"], section.Notes.Select(note => (string[])[note.Metric, note.Label, note.Text])));
        }

        return text.ToString();
    }

    private static void Fold(StringBuilder text, bool folded, string title, string table) =>
        text.Append(folded ? $"\n<details><summary>{title}</summary>\n\n{table}\n</details>\n" : $"\n{title}:\n\n{table}");

    private string Medians(Section section, string experiment)
    {
        var metrics = section.Rows(results, experiment);
        string[] labels = [.. metrics.Select(m => m.Label).Distinct().OrderBy(results.Subjects.IndexOf)];
        return Table([experiment, .. labels], metrics.GroupBy(m => (m.Metric, m.Unit)).Select(metric =>
            (string[])[ResultTables.Name(metric.Key.Metric, metric.Key.Unit), .. labels.Select(label => Cell(metric.FirstOrDefault(m => m.Label == label)))]));
    }

    private static string Cell(Measurement? m) => m?.Value is null ? "–" : m.Bound + Cell(SampleStatistics.MedianOf(m.Present), m.Unit);

    private static string Cell(Estimate estimate, string unit) => estimate is { Low: { } low, High: { } high }
        ? $"{ResultTables.Number(estimate.Value, unit)} [{ResultTables.Number(low, unit)}, {ResultTables.Number(high, unit)}]"
        : ResultTables.Number(estimate.Value, unit);

    private static string Table(string[] head, IEnumerable<string[]> rows) =>
        string.Concat(rows.Prepend([.. head.Select(_ => "---")]).Prepend(head).Select(row => $"| {string.Join(" | ", row.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal)))} |\n"));
}
