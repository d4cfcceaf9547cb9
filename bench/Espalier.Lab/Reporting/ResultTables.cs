using System.Globalization;
using Espalier.Lab.Measuring;
using Espalier.Lab.Results;
using Spectre.Console;

namespace Espalier.Lab.Reporting;

/// <summary>Prints results as tables: for each metric a row a subject, and the goals.</summary>
internal static class ResultTables
{
    private const string Reference = Results.Ratio.Reference, Count = "1", Answer = "yes=1";

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

    /// <summary>A number in three significant digits, or whole above a thousand; small ones in no more than four decimals.</summary>
    public static string Number(double value) => Math.Abs(value) switch
    {
        double.PositiveInfinity => "∞",
        double.NaN => "–",
        >= 1000 => value.ToString("N0", CultureInfo.InvariantCulture),
        >= 100 => value.ToString("0", CultureInfo.InvariantCulture),
        >= 10 => value.ToString("0.0", CultureInfo.InvariantCulture),
        >= 1 => value.ToString("0.00", CultureInfo.InvariantCulture),
        >= 0.1 => value.ToString("0.000", CultureInfo.InvariantCulture),
        >= 0.00005 => value.ToString("0.0000", CultureInfo.InvariantCulture),
        _ => "0",
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
    public static string Name(string metric, string unit) =>
        Words(unit) is { Length: > 0 } words && !metric.EndsWith($", {words}", StringComparison.Ordinal) ? $"{metric}, {words}" : metric;

    /// <summary>An interval; a dash where there is none.</summary>
    public static string Interval(double? low, double? high, string between = ", ") => low is { } from && high is { } to ? $"{Number(from)}{between}{Number(to)}" : "–";

    /// <summary>What the two intervals of a ratio mean.</summary>
    public const string AboutRatios =
        "Medians of ratios paired by alternation. The confidence interval holds the true ratio with a probability of 95 %. The mutual interval is for two runs: of two of the same length each one's ratio lies in the other's with a probability of 95 %.";

    /// <summary>Heads of <see cref="RatioRow"/>.</summary>
    public static string[] RatioHead { get; } = ["measure", "subject", "ratio", "95 % confidence interval", "95 % mutual interval", "samples"];

    /// <summary>The ratios of which there are samples enough, those of a measure one after the other.</summary>
    public static IEnumerable<Ratio> RatiosWithIntervals(ResultFile results) => Ratio.Of(results)
        .Where(ratio => (ratio.Confidence95 ?? ratio.Mutual95) is not null)
        .GroupBy(ratio => (ratio.Experiment, ratio.Metric)).SelectMany(measure => measure.OrderBy(ratio => results.Subjects.IndexOf(ratio.Label)));

    /// <summary>A ratio in words.</summary>
    public static string[] RatioRow(Ratio r) =>
    [
        r.Metric, r.Label, Number(r.Value), Interval(r.Confidence95?[0], r.Confidence95?[1], " … "),
        Interval(r.Mutual95?[0], r.Mutual95?[1], " … "), Number(r.Samples.Length, Count),
    ];

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
                var ratio = m == reference ? null : SampleStatistics.RatioOf(m.Over(reference));
                table.AddRow(
                    Markup.Escape(name), Markup.Escape(m.Label), m.Value is { } value ? m.Bound + Number(value, m.Unit) : "–",
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
        var table = new Table().RoundedBorder().Title("Goals: medians of paired ratios with 95 % intervals").AddColumns([.. GoalRow.Head.Select(Markup.Escape)]);
        foreach (var row in rows)
        {
            string interval = row.Ratio.Low is { } low && row.Ratio.High is { } high ? $" [{Number(low)}, {Number(high)}]" : " (too few samples)";
            string[] cells = [.. row.Names, row.Bound + Number(row.Ratio.Value) + interval, .. row.Bounds, row.Target];
            table.AddRow([.. cells.Select(Markup.Escape), row.Holds ? $"[green]{Markup.Escape(row.Outcome)}[/]" : $"[red]{Markup.Escape(row.Outcome)}[/]"]);
        }

        return table;
    }
}
