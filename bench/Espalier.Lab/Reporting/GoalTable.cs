using Espalier.Lab.Measuring;
using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>One goal as measured.</summary>
/// <param name="Variant">The crypto engine.</param>
/// <param name="Measure">Experiment and metric.</param>
/// <param name="Against">The other subject; itself: a value of its own, or its own value with one SA.</param>
/// <param name="Ratio">The ratio, or the value.</param>
/// <param name="Goal">What it must reach, or not exceed.</param>
/// <param name="AtLeast">Which of both.</param>
/// <param name="WithinSpread">True if an interval that holds the goal is enough.</param>
/// <param name="Ceiling">Of a goal against libipsec: what the ceiling reaches of it; empty if that was not measured.</param>
/// <param name="NoTunnel">The same without any tunnel: what the generator, the sink and the kernel between them can.</param>
/// <param name="Bound">A sign before the ratio where the generator ended a search; else empty.</param>
internal sealed record GoalRow(
    string Variant, string Measure, string Against, Estimate Ratio, double Goal, bool AtLeast, bool WithinSpread, string Ceiling, string NoTunnel, string Bound)
{
    /// <summary>What its columns are.</summary>
    public static string[] Head => ["measure", "engine", "against", "ratio or value [95 %]", "the ceiling", "no tunnel", "goal", ""];

    /// <summary>Measure, engine and what it is set against.</summary>
    public string[] Names => [Measure, Variant, Against];

    /// <summary>What the bounds reach.</summary>
    public string[] Bounds => [Ceiling, NoTunnel];

    /// <summary>The goal, in words.</summary>
    public string Target => $"{(AtLeast ? "≥" : "≤")} {ResultTables.Number(Goal)}";

    /// <summary>Whether it holds, in words: of the interval where it leaves the goal out, else of the median only; and what cannot be known.</summary>
    public string Outcome => IsUnknown ? "not known: the generator ended the search"
        : Ratio.Low is null ? $"{(Holds ? "holds" : "does not hold")}, no interval"
        : WithinSpread || !Ratio.Covers(Goal) || Reaches(Ratio.Low.Value) == Reaches(Ratio.High!.Value) ? Holds ? "holds" : "does not hold"
        : Holds ? "median holds" : "median does not hold";

    /// <summary>True if the median holds.</summary>
    public bool Holds => !IsUnknown && (Reaches(Ratio.Value) || (WithinSpread && Ratio.Low is not null && Ratio.Covers(Goal)));

    // What is at least so much may be more, and what is at most so much less.
    private bool IsUnknown => Bound switch
    {
        "" => false,
        "≥ " => AtLeast != Reaches(Ratio.Value),
        "≤ " => AtLeast == Reaches(Ratio.Value),
        _ => true,
    };

    private bool Reaches(double value) => AtLeast ? value >= Goal : value <= Goal;
}

/// <summary>What Espalier must reach against the other subjects, and whether a result file shows it.</summary>
internal static class GoalTable
{
    private sealed record Goal(string Experiment, string Metric, string Against, double Value, bool AtLeast = true, string? Engine = null, string? OverMetric = null);

    private static readonly int[] _counts = [10, 100, 1000, 10_000];

    private static readonly Goal[] _goals =
    [
        new("tcp", "one stream", "libipsec", 15, Engine: "ipsec-mb"),
        new("tcp", "one stream", "ceiling", 0.85, Engine: "ipsec-mb"),
        new("tcp", "one stream", "libipsec", 8, Engine: "system"),
        new("tcp", "one stream", "libipsec", 10, Engine: "openssl"),
        new("tcp", "four streams both ways", "libipsec", 12, Engine: "ipsec-mb"),
        new("tcp", "processor time of one stream", "libipsec", 1.0 / 12, AtLeast: false, Engine: "ipsec-mb"),
        new("udp", "64 B, zero loss", "libipsec", 4, Engine: "ipsec-mb"),
        new("udp", "64 B, zero loss", "ceiling", 0.85, Engine: "ipsec-mb"),
        new("udp", "64 B, flood arrives over zero loss", "itself", 0.7, Engine: "ipsec-mb"),
        new("udp", "64 B, flood arrives over zero loss", "ceiling", 1, Engine: "ipsec-mb"),
        new("udp", "1300 B, zero loss", "libipsec", 6, Engine: "ipsec-mb"),
        new("latency", "under TCP, 99 %", "libipsec", 1, AtLeast: false, Engine: "ipsec-mb"),
        new("memory", "idle, peak", "itself", BareMegabytes, AtLeast: false),
        new("memory", "TCP, peak over idle", "itself", 1.1, AtLeast: false),
        new("memory", "UDP flood, 64 B, peak over idle", "itself", 1.1, AtLeast: false),
        new("memory", "UDP flood, 1300 B, peak over idle", "itself", 1.1, AtLeast: false),
        .. _counts.Select(count => new Goal("scale", $"{count} SAs, TCP one stream", "itself", 1, OverMetric: "1 SAs, TCP one stream")),
        .. _counts.Select(count => new Goal("scale", $"{count} SAs, resident memory", "itself", MegabytesOf(count), AtLeast: false)),
    ];

    private const double BareMegabytes = 25, MegabytesAnSa = 0.004, MegabytesAPolicy = 0.002;

    /// <summary>The goals whose measurements are there. An engine's goal is shown for the engine only, the others for every published variant.</summary>
    public static IEnumerable<GoalRow> Evaluate(ResultFile results)
    {
        foreach (var goal in _goals)
        {
            foreach (var ours in results.Measurements.Where(m => m.Subject == "espalier" && m.Variant != "jit" && m.Experiment == goal.Experiment && m.Metric == goal.Metric))
            {
                if ((goal.Engine is null || goal.Engine == ours.Variant) && Ratio(results, goal, ours) is { } ratio)
                {
                    yield return new GoalRow(
                        ours.Variant, $"{goal.Experiment}: {goal.Metric}", goal.OverMetric is null ? goal.Against : "one SA", ratio, goal.Value, goal.AtLeast, goal.OverMetric is not null,
                        Bound(results, goal, "ceiling"), Bound(results, goal, "direct"), Sign(results, goal, ours));
                }
            }
        }
    }

    // Each has an SA each way, and policies out, in and fwd.
    private static double MegabytesOf(int count) => BareMegabytes + (MegabytesAnSa * ((2 * count) - 1)) + (MegabytesAPolicy * 3 * count);

    private static Estimate? Ratio(ResultFile results, Goal goal, Measurement ours)
    {
        if (goal.OverMetric is not null)
        {
            return results.Find(ours.Experiment, ours.Subject, ours.Variant, goal.OverMetric) is { } one ? SampleStatistics.RatioOf(ours.Over(one)) : null;
        }

        if (goal.Against == "itself")
        {
            double[] present = ours.Present;
            return present.Length == 0 ? null : SampleStatistics.MedianOf(present);
        }

        return SampleStatistics.RatioOf(ours.Over(Best(results, goal, goal.Against)));
    }

    private static string Sign(ResultFile results, Goal goal, Measurement ours) =>
        goal.OverMetric is null ? ours.BoundOver(goal.Against == "itself" ? null : Best(results, goal, goal.Against)) : "";

    private static string Bound(ResultFile results, Goal goal, string subject) =>
        goal.Against == "libipsec" && Best(results, goal, subject) is { } bound && Best(results, goal, "libipsec") is var libipsec && SampleStatistics.RatioOf(bound.Over(libipsec)) is { } ratio
            ? bound.BoundOver(libipsec) + ResultTables.Number(ratio.Value) : "";

    // The best ceiling with the same crypto.
    private static Measurement? Best(ResultFile results, Goal goal, string subject) => results.Measurements
        .Where(m => m.Subject == subject && m.Experiment == goal.Experiment && m.Metric == goal.Metric && (subject != "ceiling" || m.Variant.StartsWith("gcm", StringComparison.Ordinal)))
        .OrderByDescending(m => goal.AtLeast ? m.Value : -m.Value).FirstOrDefault();
}
