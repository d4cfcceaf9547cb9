using System.CommandLine;
using Espalier.Lab.Reporting;
using Espalier.Lab.Results;
using Spectre.Console;

namespace Espalier.Lab.Cli;

/// <summary>`compare`: what changed between two runs, beyond the noise.</summary>
internal static class CompareCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var first = new Argument<string>("A.json") { Description = "Results of the first run." };
        var second = new Argument<string>("B.json") { Description = "Results of the second run." };
        var command = new Command("compare", "Says what changed beyond the noise between two runs, and how far their ratios agree.") { first, second };
        command.SetAction((parsed, _) => CommandErrors.GuardAsync(() =>
        {
            Print(new Comparison(ResultFile.Read(parsed.GetValue(first)!), ResultFile.Read(parsed.GetValue(second)!)));
            return Task.FromResult(0);
        }));
        return command;
    }

    private static void Print(Comparison comparison)
    {
        var changed = comparison.Changes.Where(change => change.BeyondNoise).ToArray();
        int untold = comparison.Changes.Count(change => change.Ratio.Low is null);
        if (changed.Length > 0)
        {
            var table = new Table().RoundedBorder().Title("Changed beyond the noise").AddColumns("experiment", "subject", "measure", "A", "B", "B over A [[95 %]]");
            foreach (var c in changed)
            {
                table.AddRow(
                    Markup.Escape(c.Experiment), Markup.Escape(c.Label), Markup.Escape($"{c.Metric}, {c.Unit}"), ResultTables.Number(c.First), ResultTables.Number(c.Second),
                    Markup.Escape($"{ResultTables.Number(c.Ratio.Value)} [{ResultTables.Number(c.Ratio.Low!.Value)}, {ResultTables.Number(c.Ratio.High!.Value)}]"));
            }

            AnsiConsole.Write(table);
        }

        AnsiConsole.MarkupLineInterpolated(
            $"{changed.Length} of {comparison.Changes.Count} measurements changed beyond the noise; of {untold} there are too few samples (three are needed) to say.");
        int agree = comparison.Ratios.Count(ratio => ratio.Agree);
        if (comparison.Ratios.Count > 0)
        {
            AnsiConsole.MarkupLineInterpolated(
                $"{agree} of {comparison.Ratios.Count} ratios to {Comparison.Reference} ({100.0 * agree / comparison.Ratios.Count:0} %) lie within each other's 95 % intervals.");
        }

        foreach (var ratio in comparison.Ratios.Where(ratio => !ratio.Agree))
        {
            AnsiConsole.MarkupLineInterpolated($"  outside: {ratio.Experiment} {ratio.Label} {ratio.Metric}: {ResultTables.Number(ratio.First.Value)} and {ResultTables.Number(ratio.Second.Value)}");
        }
    }
}
