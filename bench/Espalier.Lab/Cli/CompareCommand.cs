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
            var (a, b) = (ResultFile.Read(parsed.GetValue(first)!), ResultFile.Read(parsed.GetValue(second)!));
            foreach (string difference in Report.Differences(a, b))
            {
                AnsiConsole.MarkupLineInterpolated($"Not the same in both: {difference}");
            }

            Print(new Comparison(a, b));
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
            $"{changed.Length} of {comparison.Changes.Count} measurements changed beyond the noise; of {untold} there are too few samples (three are needed), or one without a logarithm, to say.");
        if (comparison.Ratios.Count > 0)
        {
            int single = comparison.Ratios.Sum(ratio => (ratio.FirstHolds == true ? 1 : 0) + (ratio.SecondHolds == true ? 1 : 0));
            Agreement(
                comparison.Ratios, ratio => ratio.Mutual,
                $"lie each within the other run's 95 % mutual interval; of the {2 * comparison.Ratios.Count} intervals {single} hold the other run's ratio ({Percent(single, 2 * comparison.Ratios.Count)})",
                ratio => $"{Mutual(ratio.First)} and {Mutual(ratio.Second)}{Missed(ratio)}");
            Agreement(comparison.Ratios, ratio => ratio.Agree, "agree: the 95 % interval of their quotient holds 1", Confident);
            Agreement(comparison.Ratios, ratio => ratio.Within, "lie each within the other run's 95 % confidence interval, which is made to hold the true ratio, not another run's", Confident);
        }

        AnsiConsole.MarkupLineInterpolated($"{comparison.RatiosWithoutInterval.Count} more have no interval: too few samples, or a zero or an infinite one among them.");
    }

    private static void Agreement(List<RatioPair> ratios, Func<RatioPair, bool> holds, string how, Func<RatioPair, string> intervals)
    {
        int count = ratios.Count(holds);
        AnsiConsole.MarkupLineInterpolated($"{count} of {ratios.Count} ratios to {Ratio.Reference} ({Percent(count, ratios.Count)}) {how}.");
        foreach (var ratio in ratios.Where(ratio => !holds(ratio)))
        {
            AnsiConsole.MarkupLineInterpolated($"  not: {ratio.Experiment} {ratio.Label} {ratio.Metric}: {intervals(ratio)}");
        }
    }

    private static string Missed(RatioPair ratio) => (ratio.FirstHolds, ratio.SecondHolds) switch
    {
        (false, true) => "; B is outside A's",
        (true, false) => "; A is outside B's",
        _ => "; each is outside the other's",
    };

    private static string Percent(int count, int of) => $"{100.0 * count / of:0} %";

    private static string Confident(RatioPair ratio) => $"{With(ratio.First, ratio.First.Low, ratio.First.High)} and {With(ratio.Second, ratio.Second.Low, ratio.Second.High)}";

    private static string Mutual(Estimate ratio) => With(ratio, ratio.Mutual?.Low, ratio.Mutual?.High);

    private static string With(Estimate ratio, double? low, double? high) => $"{ResultTables.Number(ratio.Value)} [{ResultTables.Interval(low, high)}]";
}
