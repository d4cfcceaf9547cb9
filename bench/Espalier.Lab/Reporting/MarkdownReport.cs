using System.Text;
using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>The report as Markdown.</summary>
internal static class MarkdownReport
{
    /// <summary>Writes it.</summary>
    public static string Write(ResultFile results, IReadOnlyList<Section> sections)
    {
        var text = new StringBuilder("# What IPsec in userland costs\n\n| claim | | verdict |\n| --- | --- | --- |\n");
        foreach (var section in sections)
        {
            text.AppendLine(Row(section.Claim, section.Sentence, $"**{section.Verdict.Word}**: {section.Verdict.Text}"));
        }

        text.Append("\n| machine and method | |\n| --- | --- |\n");
        foreach (var (name, value) in Report.Facts(results))
        {
            text.AppendLine(Row(name, value));
        }

        foreach (var section in sections)
        {
            text.Append($"\n## {section.Claim}: {section.Sentence}\n\n**{section.Verdict.Word}**: {section.Verdict.Text}\n\n    {section.Command}\n");
            foreach (var figure in section.Figures)
            {
                text.Append($"\n![{figure.Title}](figures/{Svg.Identifier(figure.Title)}.svg)\n");
            }

            foreach (string experiment in section.Experiments)
            {
                Table(text, results, experiment);
            }

            if (section.Notes.Count > 0)
            {
                text.Append("\n| counted | | by name |\n| --- | --- | --- |\n").AppendJoin("", section.Notes.Select(note => Row(note.Metric, note.Label, note.Text) + "\n"));
            }
        }

        if (results.Failures.Count > 0)
        {
            text.Append("\n## What did not work\n\n");
            foreach (var failure in results.Failures)
            {
                text.AppendLine($"- {failure.Experiment} {failure.Alternation + 1}, {failure.Label}: {failure.Message}");
            }
        }

        return text.ToString();
    }

    private static void Table(StringBuilder text, ResultFile results, string experiment)
    {
        var metrics = results.Measurements.Where(m => m.Experiment == experiment && m.Axis is null).ToArray();
        string[] labels = [.. metrics.Select(m => m.Label).Distinct().OrderBy(results.Subjects.IndexOf)];
        if (labels.Length == 0)
        {
            return;
        }

        text.AppendLine().AppendLine(Row([experiment, .. labels])).AppendLine(Row([.. labels.Select(_ => "---:").Prepend("---")]));
        foreach (var metric in metrics.GroupBy(m => (m.Metric, m.Unit)))
        {
            text.AppendLine(Row([ResultTables.Name(metric.Key.Metric, metric.Key.Unit), .. labels.Select(label => Cell(metric.FirstOrDefault(m => m.Label == label)))]));
        }
    }

    private static string Cell(Measurement? m) => m?.Value is { } value ? ResultTables.Number(value, m.Unit) : "–";

    private static string Row(params string[] cells) => $"| {string.Join(" | ", cells.Select(cell => cell.Replace("|", "\\|", StringComparison.Ordinal)))} |";
}
