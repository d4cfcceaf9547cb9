using System.Globalization;
using Espalier.Lab.Results;
using Spectre.Console;

namespace Espalier.Lab.Reporting;

/// <summary>Prints results as tables: a row a metric, a column a subject, and the goals.</summary>
internal static class ResultTables
{
    /// <summary>Prints all.</summary>
    public static void Print(IAnsiConsole console, ResultFile results)
    {
        foreach (var experiment in results.Measurements.Where(m => m.Axis is null).GroupBy(m => m.Experiment))
        {
            string[] labels = [.. experiment.Select(m => m.Label).Distinct().OrderBy(label => results.Subjects.IndexOf(label))];
            var table = new Table().RoundedBorder().Title(experiment.Key).AddColumn("");
            foreach (string label in labels)
            {
                table.AddColumn(new TableColumn(Markup.Escape(label)).RightAligned());
            }

            foreach (var metric in experiment.GroupBy(m => (m.Metric, m.Unit)))
            {
                table.AddRow([Markup.Escape($"{metric.Key.Metric}, {metric.Key.Unit}"), .. labels.Select(label => Cell(metric.FirstOrDefault(m => m.Label == label)))]);
            }

            console.Write(table);
        }

        if (GoalTable.Evaluate(results).ToArray() is { Length: > 0 } goals)
        {
            console.Write(Goals(goals));
        }

        foreach (var failure in results.Failures)
        {
            string subject = failure.Variant.Length == 0 ? failure.Subject : $"{failure.Subject}:{failure.Variant}";
            console.MarkupLineInterpolated($"[yellow]{failure.Experiment} {failure.Alternation + 1} {subject}[/]: {failure.Message}");
        }

        console.MarkupLine("[dim]Both ends, generator and sink share this machine's processors: only ratios within one run count.[/]");
    }

    /// <summary>A number in three significant digits, or whole above a thousand.</summary>
    public static string Number(double value) => Math.Abs(value) switch
    {
        double.PositiveInfinity => "∞",
        >= 1000 => value.ToString("N0", CultureInfo.InvariantCulture),
        >= 100 => value.ToString("0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.0", CultureInfo.InvariantCulture),
        _ => value.ToString("0.00", CultureInfo.InvariantCulture),
    };

    private static string Cell(Measurement? measurement) => measurement?.Value is { } value ? Number(value) : "–";

    private static Table Goals(IEnumerable<GoalRow> rows)
    {
        var table = new Table().RoundedBorder().Title("Goals: medians of paired ratios with bootstrap 95 % intervals").AddColumns("espalier", "measure", "against", "ratio", "goal", "");
        foreach (var row in rows)
        {
            string interval = row.Ratio.Low is { } low && row.Ratio.High is { } high ? $" [{Number(low)}, {Number(high)}]" : " (too few samples)";
            table.AddRow(
                Markup.Escape(row.Variant), Markup.Escape(row.Measure), row.Against, Markup.Escape(Number(row.Ratio.Value) + interval),
                Markup.Escape($"{(row.AtLeast ? "≥" : "≤")} {Number(row.Goal)}"), row.Holds ? "[green]holds[/]" : "[red]does not hold[/]");
        }

        return table;
    }
}
