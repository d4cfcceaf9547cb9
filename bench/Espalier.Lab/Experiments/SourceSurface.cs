using System.Globalization;
using System.Text.RegularExpressions;
using Espalier.Lab.Hosts;
using Espalier.Lab.Measuring;

namespace Espalier.Lab.Experiments;

/// <summary>Of the surface what the sources say: lines by part, dependencies, and how much chance has been let loose on the code that meets packets.</summary>
internal static partial class SourceSurface
{
    private const string Lines = "source lines", Hours = "fuzzing hours of the ESP code", Targets = "fuzz targets of the ESP code";
    private const int CasesByDefault = 100;

    /// <summary>Of strongSwan's source, where apt can fetch it.</summary>
    public static async Task StrongswanAsync(Trial trial, CancellationToken cancellation)
    {
        StrongswanSource source;
        try
        {
            source = await StrongswanSource.FetchAsync(Path.Combine(trial.Bed.Folder, "strongswan"), cancellation).ConfigureAwait(false);
        }
        catch (LabException exception)
        {
            trial.Fail(exception.Message);
            return;
        }

        foreach (var (part, folder) in StrongswanSource.Parts)
        {
            trial.Record($"{Lines}, {part}", "1", source.Lines(folder), ("counted", SourceLines.Method));
        }

        var (all, esp) = source.FuzzTargets();
        trial.Record("fuzz targets in all", "1", all.Length, ("names", string.Join(' ', all)));
        trial.Record(Targets, "1", esp.Length, ("names", string.Join(' ', esp)), ("method", "targets of fuzz/Makefile.am that are linked with libipsec"));
        if (esp.Length == 0)
        {
            trial.Record(Hours, "h", 0, ("why", "this version has no target for it; what is fuzzed elsewhere, and for how long, is not known here"));
        }
    }

    /// <summary>Of our own source.</summary>
    public static void Espalier(Trial trial)
    {
        foreach (string project in Directory.EnumerateDirectories(Path.Combine(Published.Root, "src")).Order())
        {
            trial.Record($"{Lines}, {Path.GetFileName(project)}", "1", SourceLines.Count(project, ".cs"), ("counted", SourceLines.Method));
        }

        trial.Record($"{Lines}, native (preload library)", "1", SourceLines.Count(Path.Combine(Published.Root, "native/preload"), ".c", ".h"), ("counted", SourceLines.Method));
        string[] packages = [.. Directory.EnumerateFiles(Path.Combine(Published.Root, "src"), "*.csproj", SearchOption.AllDirectories)
            .SelectMany(file => Package().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value)).Distinct().Order()];
        trial.Record("packages compiled in", "1", packages.Length, ("names", string.Join(' ', packages)), ("besides", "the .NET runtime"));
        Fuzzing(trial, FuzzingRecord.Read(File.ReadAllText(Path.Combine(Published.Root, FuzzingRecord.Document))));
        var (tests, cases) = PropertyTests();
        trial.Record("property tests", "1", tests, ("method", "calls of CsCheck's Sample in tests/"));
        trial.Record("random cases a run of the tests draws", "1", cases, ("method", $"their iter arguments, {CasesByDefault} where there is none"));
    }

    private static void Fuzzing(Trial trial, FuzzingRecord[] all)
    {
        FuzzingRecord[] esp = [.. all.Where(record => record.MeetsEsp)];
        trial.Record("fuzz targets in all", "1", all.Length, ("names", Names(all)));
        trial.Record(Targets, "1", esp.Length, ("names", Names(esp)), ("method", "targets of tests/Espalier.Fuzz that give ESP packets, or what quotes them, to the code that meets them"));
        trial.Record(
            Hours, "h", esp.Sum(record => record.Hours), ("method", $"sum of the runs of these targets below afl-fuzz, instrumented by SharpFuzz, on one core; from the table of {FuzzingRecord.Document}"),
            ("executions", esp.Sum(record => record.Executions)), ("findings", esp.Sum(record => record.Findings)));

        static string Names(FuzzingRecord[] records) => string.Join(' ', records.Select(record => record.Target));
    }

    private static (int Tests, long Cases) PropertyTests()
    {
        int tests = 0;
        long cases = 0;
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Published.Root, "tests"), "*.cs", SearchOption.AllDirectories))
        {
            string text = File.ReadAllText(file);
            int samples = Sample().Count(text);
            long[] asked = [.. Iterations().Matches(text).Select(match => long.Parse(match.Groups[1].Value.Replace("_", "", StringComparison.Ordinal), CultureInfo.InvariantCulture))];
            tests += samples;
            cases += samples == 0 ? 0 : asked.Sum() + (CasesByDefault * Math.Max(0, samples - asked.Length));
        }

        return (tests, cases);
    }

    [GeneratedRegex("<PackageReference Include=\"([^\"]+)\"")]
    private static partial Regex Package();

    [GeneratedRegex(@"\.Sample(Async)?\(")]
    private static partial Regex Sample();

    [GeneratedRegex(@"\biter: ([\d_]+)")]
    private static partial Regex Iterations();
}
