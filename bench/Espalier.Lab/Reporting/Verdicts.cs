using System.Globalization;
using Espalier.Lab.Measuring;
using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>What the data say of a claim against libipsec.</summary>
internal sealed record Verdict(string Word, string Text);

/// <summary>One line a claim, from what was measured and nothing else; also where it speaks for libipsec.</summary>
internal static class Verdicts
{
    private const string Theirs = Ratio.Reference;

    private static Verdict Unmeasured(params string[] experiments) => new("not measured", $"No results of {string.Join(" or ", experiments)} for libipsec in these files.");

    /// <summary>C1: memory grows with load.</summary>
    public static Verdict Buffering(ResultFile f)
    {
        if (Growth(f, Theirs) is not { } growth)
        {
            return Unmeasured("memory", "buffering");
        }

        string allocations = Value(f, Theirs, "buffering", "outbound, allocator calls") is { } calls ? $" and called the allocator {Number(calls)} times for each outbound packet" : "";
        allocations += Copies(f, Theirs) is { } copies and > 0 ? $", which it copied {Number(copies)} times" : "";
        string ours = Growth(f, "espalier") is { } own
            ? $" Espalier: {Number(own)} times idle{(Value(f, "espalier", "buffering", "outbound, allocator calls") is { } none ? $", {Number(none)} calls, {Number(Copies(f, "espalier"))} copies" : "")}." : "";
        return growth > 2
            ? new("holds", $"libipsec grew to {Number(growth)} times its idle memory under a flood{allocations}.{ours}")
            : new("does not hold", $"libipsec stayed at {Number(growth)} times its idle memory under a flood{allocations}.{ours}");
    }

    /// <summary>C2: it runs out of memory.</summary>
    public static Verdict OutOfMemory(ResultFile f)
    {
        if (Cages(f, Theirs, "until the OOM killer") is not { Length: > 0 } cages)
        {
            return Unmeasured("oom");
        }

        int killed = cages.Count(double.IsFinite);
        string first = killed > 0 ? $", first after {Number(cages.Min())} s" : "";
        return new(killed > 0 ? "holds" : "does not hold", $"The OOM killer ended charon in {killed} of {Times(f, cages.Length)}{first}. {Ours(f)}");
    }

    /// <summary>C3: that ends the IKE daemon.</summary>
    public static Verdict Crash(ResultFile f)
    {
        if (Cages(f, Theirs, "control answers") is not { Length: > 0 } cages)
        {
            return Unmeasured("oom");
        }

        int dead = cages.Count(answers => answers < 1);
        int back = Cages(f, Theirs, "tunnel works again after").Count(double.IsFinite);
        return new(dead > 0 ? "holds" : "does not hold", $"After the flood IKE did not answer in {dead} of {Times(f, cages.Length)}; the tunnel came back by itself in {back}.");
    }

    /// <summary>C4: the host locks up.</summary>
    public static Verdict Lockup(ResultFile f)
    {
        if (Value(f, Theirs, "lockup", "flood, delay 99 %") is not { } delay || Value(f, Theirs, "lockup", "flood, program start") is not { } start)
        {
            return Unmeasured("lockup");
        }

        const double locked = 100_000, standing = 1_000_000; // µs
        string memory = Value(f, Theirs, "lockup", "flood, free memory lost") is { } lost ? $"; {Number(lost)} MB of free memory went" : "";
        string keys = Value(f, Theirs, "lockup", "flood, key round trip 99 %") is { } key ? $", a key pressed came back within {Number(key / 1000)} ms in 99 % of cases" : "";
        double? Longest(string metric) => f.Find("lockup", Theirs, "", metric)?.Present.Max();
        double? worst = Longest("flood, delay worst"), worstKey = Longest("flood, key round trip worst");
        string atWorst = worst is { } longest ? $", at worst {Number(longest / 1000)} ms" : "";
        string others = Value(f, "direct", "lockup", "flood, delay 99 %") is { } none ? $" (without a tunnel {Number(none / 1000)} ms)" : "";
        string text = $"A thread was woken at most {Number(delay / 1000)} ms late in 99 % of cases{others}{atWorst}, a program started in {Number(start)} ms{keys}{memory}.{Cap(f)}";
        return new(delay > locked || start > 1000 || worst > standing || worstKey > standing ? "holds" : "does not hold within the cap", text);
    }

    /// <summary>C5: what there is to scrutinise.</summary>
    public static Verdict Surface(ResultFile f)
    {
        if (Value(f, Theirs, "surface", "shared libraries") is not { } theirs)
        {
            return Unmeasured("surface");
        }

        string lines = Sum(f, Theirs, "source lines, ") is { } all and > 0
            ? $" libipsec and its plugin are {Sum(f, Theirs, "source lines, libipsec") + Sum(f, Theirs, "source lines, kernel-libipsec"):N0} lines of code, with the libraries they stand on, all plugins counted, {all:N0};" +
                $" {Value(f, Theirs, "surface", "fuzz targets of the ESP code") ?? 0:0} of {Value(f, Theirs, "surface", "fuzz targets in all") ?? 0:0} fuzz targets reach the ESP code."
            : "";
        string ours = Value(f, "espalier", "surface", "shared libraries") is { } own
            ? $" Espalier maps {own:0} and {Number(Value(f, "espalier", "surface", "code mapped") ?? 0)} MB, is {Sum(f, "espalier", "source lines, "):N0} lines, and was fuzzed for {Value(f, "espalier", "surface", "fuzzing hours of the ESP code") ?? 0:0.##} hours." : "";
        return new("a matter of judgement", $"charon with libipsec maps {theirs:0} shared libraries and {Number(Value(f, Theirs, "surface", "code mapped") ?? 0)} MB of code.{lines}{ours}");
    }

    /// <summary>C6: it is slow: in TCP and in small datagrams, as far as they were measured, less than half of what the ceiling does.</summary>
    public static Verdict Slow(ResultFile f)
    {
        (bool? IsSlow, string Text)[] speeds =
            [.. Speed(f, "tcp", "one stream", "One TCP stream", "Gb/s"), .. Speed(f, "udp", "64 B, zero loss", "64-byte UDP without loss", "packets/s")];
        string text = string.Join(' ', speeds.Select(speed => speed.Text));
        bool?[] known = [.. speeds.Select(speed => speed.IsSlow).Where(slow => slow is not null)];
        return (speeds.Length, known.Length) switch
        {
            (0, _) => Unmeasured("tcp", "udp"),
            (_, 0) => new("not measured", $"{text} Neither the ceiling nor the way without a tunnel was measured beside it, or the generator ended the search."),
            _ when known.All(slow => slow == true) => new("holds", text),
            _ => new(known.All(slow => slow == false) ? "does not hold" : "holds in part", text),
        };
    }

    private static IEnumerable<(bool? IsSlow, string Text)> Speed(ResultFile f, string experiment, string metric, string what, string unit)
    {
        if (Best(f, Theirs, experiment, metric) is { Value: { } theirs } reference)
        {
            string Against(string subject) => Best(f, subject, experiment, metric) is { Value: { } other } best ? $"{best.Label} {best.Bound}{Number(other)} {unit} ({Times(f, best)})" : "";
            var others = ((string[])["espalier", "openvpn", "wireguard-go", "ceiling", "direct"]).Select(Against).Where(words => words.Length > 0);
            double? bound = Value(f, "ceiling", experiment, metric) ?? Value(f, "direct", experiment, metric);
            yield return (bound is null || (reference.IsAtLeast && theirs < bound / 2) ? null : theirs < bound / 2, $"{what}: {string.Join(", ", others.Prepend($"libipsec {reference.Bound}{Number(theirs)} {unit}"))}.");
        }
    }

    /// <summary>The highest of a subject's variants; of the ceiling only those with crypto.</summary>
    private static double? Value(ResultFile f, string subject, string experiment, string metric) => Best(f, subject, experiment, metric)?.Value;

    // As in the table of ratios: paired by alternation, with the interval of 95 %. Measured in another run there is none.
    private static string Times(ResultFile f, Measurement m) => SampleStatistics.RatioOf(Ratio.Paired(f, m)) is { } ratio
        ? $"{m.BoundOver(f.Find(m.Experiment, Theirs, "", m.Metric))}{Number(ratio.Value)} times{(ratio.Low is null ? "" : $", 95 %: {ResultTables.Interval(ratio.Low, ratio.High, " to ")}")}" : "of another run";

    private static Measurement? Best(ResultFile f, string subject, string experiment, string metric) =>
        f.Measurements.Where(m => m.Subject == subject && m.Experiment == experiment && m.Metric == metric && (subject != "ceiling" || m.Variant.StartsWith("gcm", StringComparison.Ordinal)))
            .MaxBy(m => m.Value);

    private static double Copies(ResultFile f, string subject) =>
        (Value(f, subject, "buffering", "outbound, copies by the C library") ?? 0) + (Value(f, subject, "buffering", "outbound, copies in managed code") ?? 0);

    // What the lab lets it take; a file from before lockup noted that has it of the memory experiment of the same run.
    private static string Cap(ResultFile f)
    {
        int? run = f.Measurements.Find(m => m.Subject == Theirs && m.Experiment == "lockup")?.Run;
        var limits = f.Measurements.Where(m => m.Subject == Theirs && m.Run == run && m.Experiment is "lockup" or "memory").OrderBy(m => m.Experiment, StringComparer.Ordinal)
            .Select(m => (long?)m.Parameters["limitBytes"]).OfType<long>().ToArray();
        bool stopped = f.Failures.Exists(failure => failure.Subject == Theirs && failure.Experiment == "lockup" && failure.Message.StartsWith("stopped at", StringComparison.Ordinal));
        string cap = limits.Length == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"{limits[0] / (double)(1L << 30):0.##} GiB");
        return (cap, stopped) switch
        {
            ("", false) => "",
            ("", true) => " libipsec was stopped at the cap of its memory.",
            (_, true) => $" libipsec was stopped at {cap} of memory, the cap.",
            _ => $" libipsec did not reach the cap of its memory, {cap}.",
        };
    }

    // Counted once, whatever the variant.
    private static double Sum(ResultFile f, string subject, string begin) =>
        f.Measurements.Where(m => m.Subject == subject && m.Experiment == "surface" && m.Metric.StartsWith(begin, StringComparison.Ordinal)).DistinctBy(m => m.Metric).Sum(m => m.Value ?? 0);

    private static double? Worst(ResultFile f, string subject, string experiment, string begin, string end) =>
        f.Measurements.Where(m => m.Subject == subject && m.Experiment == experiment && m.Metric.StartsWith(begin, StringComparison.Ordinal) && m.Metric.EndsWith(end, StringComparison.Ordinal))
            .Select(m => m.Value).Max();

    // Of both floods, or, where those were not measured, of the loads that were offered for their memory.
    private static double? Growth(ResultFile f, string subject) => Worst(f, subject, "memory", "UDP flood", "peak over idle") ??
        f.Measurements.Where(m => m.Subject == subject && m.Experiment == "buffering" && m.Metric == "memory against offered load" && m.Present.Length > 1)
            .Select(m => (double?)(m.Present.Max() / m.Present[0])).Max();

    private static double[] Cages(ResultFile f, string subject, string end) =>
        [.. f.Measurements.Where(m => m.Subject == subject && m.Experiment == "oom" && m.Metric.EndsWith(end, StringComparison.Ordinal)).SelectMany(m => m.Present)];

    // Of one turn each cage is flooded once.
    private static string Times(ResultFile f, int floods) => f.Measurements.Where(m => m.Subject == Theirs && m.Experiment == "oom" && m.Axis is null).Select(m => m.Metric.Split(':')[0]).Distinct().Count() is var cages && cages == floods
        ? $"{cages} cages" : $"{floods} floods in {cages} cages";

    private static string Ours(ResultFile f) => Cages(f, "espalier", "until the OOM killer") is { Length: > 0 } cages
        ? string.Create(CultureInfo.InvariantCulture, $"Espalier: {cages.Count(double.IsFinite)} of {cages.Length}.") : "";

    private static string Number(double value) => ResultTables.Number(value);
}
