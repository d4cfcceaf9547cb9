using System.Text.Json.Nodes;
using Espalier.Lab.Measuring;
using Espalier.Lab.Results;

namespace Espalier.Lab.Reporting;

/// <summary>A picture; its text alternative is within.</summary>
internal sealed record Figure(string Title, string Svg);

/// <summary>Words that belong to a figure: what a subject's number counts.</summary>
internal sealed record Note(string Metric, string Label, string Text);

/// <summary>One claim: the sentence, what the data say, the pictures, the tables of its experiments and the command that repeats it.</summary>
internal sealed record Section(string Claim, string Sentence, Verdict Verdict, IReadOnlyList<Figure> Figures, IReadOnlyList<string> Experiments, string Command)
{
    /// <summary>What the numbers of the section count, by name.</summary>
    public IReadOnlyList<Note> Notes { get; init; } = [];

    /// <summary>Which metrics of its experiments belong to the claim; all, unless two claims share an experiment.</summary>
    public Func<string, bool> Shows { get; init; } = _ => true;

    /// <summary>The measurements of a table: parts of the same thing, such as lines of source, one after the other.</summary>
    public Measurement[] Rows(ResultFile results, string experiment)
    {
        var rows = results.Measurements.Where(m => m.Experiment == experiment && m.Axis is null && Shows(m.Metric)).ToArray();
        string[] things = [.. rows.Select(Thing).Distinct()];
        return [.. rows.OrderBy(m => Array.IndexOf(things, Thing(m)))];
    }

    private static string Thing(Measurement m) => m.Metric.Split(", ")[0];
}

/// <summary>The sections of a report: for each claim what was measured of it.</summary>
internal static class Sections
{
    /// <summary>Builds them.</summary>
    public static IReadOnlyList<Section> Build(ResultFile f) =>
    [
        Section("C1", "It buffers each packet in memory.", Verdicts.Buffering(f), ["memory", "buffering"],
            Lines(f, "memory", "over time", "Resident memory over time: idle, TCP, two floods, afterwards", "time, s", "MB", logX: false, logY: true),
            Lines(f, "buffering", "memory against offered load", "Peak resident memory against offered load", "packets/s offered", "MB", logX: true, logY: true),
            Bars(f, "buffering", "outbound, allocator calls", "Allocator calls for each outbound packet")),
        Section("C2", "With too little processor it runs out of memory.", Verdicts.OutOfMemory(f), ["oom"], [.. Cages(f)]) with { Shows = metric => !IsAfterwards(metric) },
        Section("C3", "That crashes the charon daemon.", Verdicts.Crash(f), ["oom"], Afterwards(f)) with { Shows = IsAfterwards },
        Section("C4", "It locks up the whole host.", Verdicts.Lockup(f), ["lockup"],
            Bars(f, "lockup", "flood, delay 99 %", "How late a thread is woken during a flood, 99th percentile"),
            Bars(f, "lockup", "flood, key round trip 99 %", "A key pressed in a remote shell and back during a flood, 99th percentile"),
            Bars(f, "lockup", "flood, program start", "Time to start a program during a flood, median"),
            Lines(f, "lockup", "flood, free memory", "Free memory of the host that a flood takes", "time, s", "MB", logX: false, logY: false, fallen: true)),
        Section("C5", "Its code is less scrutinised than the kernel's and adds complexity.", Verdicts.Surface(f), ["surface"],
            Bars(f, "surface", "code mapped", "Code mapped into the running daemon")) with { Notes = Notes(f, "surface") },
        Section("C6", "It is slow.", Verdicts.Slow(f), ["tcp", "udp", "latency", "scale"],
            Bars(f, "tcp", "one stream", "TCP, one stream"),
            Bars(f, "tcp", "four streams both ways", "TCP, four streams each way at once"),
            Bars(f, "tcp", "processor time of one stream", "Processor time for a gigabyte of TCP"),
            Bars(f, "udp", "64 B, zero loss", "64-byte UDP without loss"),
            Bars(f, "udp", "64 B, flood arrives", "What arrives of a flood of 64-byte UDP"),
            Bars(f, "udp", "1300 B, zero loss", "1,300-byte UDP without loss"),
            Lines(f, "latency", "idle, distribution", "Round trip, idle: share of probes that were at most so late", "share of probes", "µs", logX: false, logY: true),
            Lines(f, "latency", "under TCP, distribution", "Round trip under a saturating TCP stream", "share of probes", "µs", logX: false, logY: true),
            Scale(f)),
    ];

    private static Section Section(string claim, string sentence, Verdict verdict, string[] experiments, params Figure?[] figures) => new(
        claim, sentence, verdict, [.. figures.OfType<Figure>()], experiments,
        $"dotnet run -c Release --project bench/Espalier.Lab -- run {string.Join(' ', experiments)} --full");

    private static Note[] Notes(ResultFile f, string experiment) => [.. f.Measurements.Where(m => m.Experiment == experiment)
        .Select(m => new Note(m.Metric, m.Label, string.Join("; ", ((string[])["names", "user", "why"]).Where(key => !string.IsNullOrWhiteSpace(m.Parameters[key]?.ToString())).Select(key => $"{(key == "user" ? "user " : "")}{m.Parameters[key]}"))))
        .Where(note => note.Text.Length > 0)];

    private static Figure? Bars(ResultFile f, string experiment, string metric, string title)
    {
        var measured = f.Measurements.Where(m => m.Experiment == experiment && m.Metric == metric && m.Present.Length > 0).OrderByDescending(m => m.Value).ToArray();
        Bar[] bars = [.. measured.Select(m => new Bar(m.Label, SampleStatistics.MedianOf(m.Present)))];
        return bars.Length == 0 ? null : new Figure(title, BarChart.Draw(title, measured[0].Unit, bars));
    }

    private static Figure? Lines(ResultFile f, string experiment, string metric, string title, string x, string y, bool logX, bool logY, bool fallen = false)
    {
        Line[] lines = [.. f.Measurements.Where(m => m.Experiment == experiment && m.Metric == metric && m.Axis is not null)
            .Select(m => new Line(m.Label, m.Axis!.Values, [.. m.Samples.Select(v => (fallen ? m.Samples[0] - v : v) ?? double.NaN)]))];
        return lines.Length == 0 ? null : new Figure(title, new LineChart(title, x, y, lines, logX, logY) { Phases = Phases(f, experiment, metric) }.Draw());
    }

    // Those of libipsec, if it was measured: the others' begin a tenth of a second sooner or later.
    private static Phase[] Phases(ResultFile f, string experiment, string metric) =>
        [.. f.Measurements.Where(m => m.Experiment == experiment && m.Metric == metric).OrderBy(m => m.Subject == Ratio.Reference ? 0 : 1)
            .Select(m => m.Parameters["phases"]).OfType<JsonArray>().FirstOrDefault()?.Select(phase => new Phase((string)phase!["name"]!, (double)phase["from"]!)) ?? []];

    private static bool IsAfterwards(string metric) =>
        metric.EndsWith("control answers", StringComparison.Ordinal) || metric.EndsWith("works again after", StringComparison.Ordinal);

    // What is left of each subject after the flood, by cage.
    private static Figure? Afterwards(ResultFile f)
    {
        const string title = "After the flood: does the tunnel carry packets again", end = ": tunnel works again after";
        var found = f.Measurements.Where(m => m.Experiment == "oom" && m.Metric.EndsWith(end, StringComparison.Ordinal) && m.Present.Length > 0).ToArray();
        string[] cages = [.. found.Select(m => m.Metric[..^end.Length]).Distinct()];
        string[] labels = [.. found.Select(m => m.Label).Distinct().OrderBy(f.Subjects.IndexOf)];
        State? Of(string cage, string label) => Array.Find(found, m => m.Metric == cage + end && m.Label == label) is { } m
            ? new State(m.Present.All(double.IsFinite) ? "yes" : $"no, {m.Present.Count(double.IsInfinity)} of {m.Present.Length}", m.Present.All(double.IsFinite)) : null;
        return found.Length == 0 ? null : new Figure(title, StateGrid.Draw(title, cages, labels, Of));
    }

    // One picture a cage: memory of each subject over time, with the kill marked.
    private static IEnumerable<Figure> Cages(ResultFile f)
    {
        foreach (var cage in f.Measurements.Where(m => m.Experiment == "oom" && m.Axis is not null).GroupBy(m => m.Metric.Split(':')[0]))
        {
            string title = $"Memory in a cage of {cage.Key.Replace(",", " and", StringComparison.Ordinal)} of a processor";
            var lines = cage.Select(m => new Line(
                m.Label, m.Axis!.Values, [.. m.Samples.Select(v => v ?? double.NaN)], (double?)m.Parameters["killedAt"], $"{m.Label} killed")).ToArray();
            yield return new Figure(title, new LineChart(title, "time, s", "MB", lines, logX: false, logY: true).Draw());
        }
    }

    private static Figure? Scale(ResultFile f)
    {
        const string title = "Processor time of a 64-byte packet against the number of SAs";
        Line[] lines = [.. f.Measurements.Where(m => m.Experiment == "scale" && m.Metric.EndsWith("UDP processor time", StringComparison.Ordinal) && m.Value is not null)
            .GroupBy(m => m.Label)
            .Select(group => group.OrderBy(m => (int)m.Parameters["associations"]!).ToArray())
            .Select(group => new Line(group[0].Label, [.. group.Select(m => (double)(int)m.Parameters["associations"]!)], [.. group.Select(m => m.Value!.Value)]))];
        return lines.Length == 0 ? null : new Figure(title, new LineChart(title, "SAs each way", "µs/packet", lines, logX: true, logY: true).Draw());
    }
}
