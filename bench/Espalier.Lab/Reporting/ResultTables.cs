using System.Globalization;
using Espalier.Lab.Measuring;
using Espalier.Lab.Results;
using Spectre.Console;

namespace Espalier.Lab.Reporting;

/// <summary>Prints results as tables: for each metric a row a subject, and the goals.</summary>
internal static class ResultTables
{
    private const string Reference = "libipsec", Count = "1", Answer = "yes=1";

    /// <summary>Prints all.</summary>
    public static void Print(IAnsiConsole console, ResultFile results)
    {
        foreach (var experiment in results.Measurements.Where(m => m.Axis is null).GroupBy(m => m.Experiment))
        {
            console.Write(Measured(results, experiment.Key, [.. experiment]));
        }

        if (GoalTable.Evaluate(results).ToArray() is { Length: > 0 } goals)
        {
            console.Write(Goals(goals));
        }

        foreach (var failure in results.Failures)
        {
            console.MarkupLineInterpolated($"[yellow]{failure.Experiment} {failure.Alternation + 1} {failure.Label}[/]: {failure.Message}");
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

    /// <summary>A number in its unit's way: counts are whole, answers are words.</summary>
    public static string Number(double value, string unit) => (unit, value) switch
    {
        (Count, _) when double.IsInteger(value) => value.ToString("N0", CultureInfo.InvariantCulture),
        (Answer, 0) => "no",
        (Answer, 1) => "yes",
        _ => Number(value),
    };

    /// <summary>A unit as it is read; empty for counts and answers.</summary>
    public static string Words(string unit) => unit is Count or Answer ? "" : unit.StartsWith("1/", StringComparison.Ordinal) ? $"a {unit[2..]}" : unit;

    /// <summary>A metric with its unit.</summary>
    public static string Name(string metric, string unit) => Words(unit) is { Length: > 0 } words ? $"{metric}, {words}" : metric;

    private static Table Measured(ResultFile results, string experiment, Measurement[] measurements)
    {
        var table = new Table().RoundedBorder().Title(experiment).AddColumns("measure", "subject");
        foreach (string head in (string[])["median", "lowest … highest", $"over {Reference}"])
        {
            table.AddColumn(new TableColumn(head).RightAligned());
        }

        foreach (var metric in measurements.GroupBy(m => (m.Metric, m.Unit)))
        {
            string name = Name(metric.Key.Metric, metric.Key.Unit);
            var reference = metric.FirstOrDefault(m => m.Subject == Reference);
            foreach (var m in metric.OrderBy(m => results.Subjects.IndexOf(m.Label)))
            {
                double[] present = m.Present;
                var ratio = reference is null || m == reference ? null : SampleStatistics.PairedRatio(m.Samples, reference.Samples, results.Seed);
                table.AddRow(
                    Markup.Escape(name), Markup.Escape(m.Label), m.Value is { } value ? Number(value, m.Unit) : "–",
                    present.Length < 2 ? "" : $"{Number(present.Min())} … {Number(present.Max())}", ratio is null ? "" : $"{Number(ratio.Value)}×");
                name = "";
            }

            if (metric.Count() > 1)
            {
                table.AddEmptyRow();
            }
        }

        return table;
    }

    private static Table Goals(IEnumerable<GoalRow> rows)
    {
        var table = new Table().RoundedBorder().Title("Goals: medians of paired ratios with 95 % intervals").AddColumns("espalier", "measure", "against", "ratio or value", "goal", "");
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
