using System.CommandLine;
using Espalier.Lab.Measuring;
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
        if (comparison.Ratios.Count > 0)
        {
            Agreement(comparison.Ratios, ratio => ratio.Agree, "agree: the 95 % interval of their quotient holds 1");
            Agreement(comparison.Ratios, ratio => ratio.Within, "lie each within the other run's own 95 % interval, which is stricter");
        }

        AnsiConsole.MarkupLineInterpolated($"{comparison.RatiosWithoutInterval.Count} more have no interval: too few samples, or a zero among them.");
    }

    private static void Agreement(List<RatioPair> ratios, Func<RatioPair, bool> holds, string how)
    {
        int count = ratios.Count(holds);
        AnsiConsole.MarkupLineInterpolated($"{count} of {ratios.Count} ratios to {Comparison.Reference} ({100.0 * count / ratios.Count:0} %) {how}.");
        foreach (var ratio in ratios.Where(ratio => !holds(ratio)))
        {
            AnsiConsole.MarkupLineInterpolated($"  not: {ratio.Experiment} {ratio.Label} {ratio.Metric}: {Interval(ratio.First)} and {Interval(ratio.Second)}");
        }
    }

    private static string Interval(Estimate ratio) => $"{ResultTables.Number(ratio.Value)} [{ResultTables.Number(ratio.Low!.Value)}, {ResultTables.Number(ratio.High!.Value)}]";
}
