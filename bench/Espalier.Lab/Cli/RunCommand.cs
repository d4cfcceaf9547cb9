using System.CommandLine;
using System.Globalization;
using Espalier.Lab.Experiments;
using Espalier.Lab.Hosts;
using Espalier.Lab.Net;
using Espalier.Lab.Reporting;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;
using Spectre.Console;

namespace Espalier.Lab.Cli;

/// <summary>`run`: measures.</summary>
internal static class RunCommand
{
    private static readonly Argument<string[]> _experiments = new("EXPERIMENT")
    {
        Description = "What to measure; all without any. `list` says what there is.",
        Arity = ArgumentArity.ZeroOrMore,
    };

    private static readonly Option<string[]> _subjects = new("--subjects")
    {
        Description = "Comma-separated subjects, for example espalier:system,libipsec,direct. All that are here without it.",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<bool> _full = new("--full") { Description = "Nine alternations of 10 s and 2 s trials: hours. Prints its estimate first." };
    private static readonly Option<int?> _repeat = new("--repeat") { Description = "Alternations of each experiment." };
    private static readonly Option<double?> _seconds = Seconds.Option("Length of each timed load", 0.2, 600);
    private static readonly Option<int?> _seed = new("--seed") { Description = "Seed of the order of subjects; drawn without it, and printed." };
    private static readonly Option<string?> _json = new("--json") { Description = "Write the results to this file, after each turn; --full without it: lab-DATE-SEED.json." };
    private static readonly Option<string?> _resume = new("--resume") { Description = "Go on with the run whose results are in this file." };
    private static readonly Option<string?> _report = new("--report") { Description = "Write report.html and report.md into this folder." };
    private static readonly Option<string> _pinning = new("--pinning")
    {
        Description = "none: the scheduler decides; hosts: everything of moon on the first half of the processors, of sun on the second.",
        DefaultValueFactory = _ => "none",
    };

    private static readonly Option<int> _queue = new("--queue-length") { Description = "txqueuelen of every TUN and veth device.", DefaultValueFactory = _ => 1000 };
    private static readonly Option<int> _buffer = new("--socket-buffer")
    {
        Description = "Default size of socket buffers on this host during the run, in bytes; 0 leaves them as they are.",
        DefaultValueFactory = _ => 4 << 20,
    };

    private static readonly Option<bool> _beside = new("--beside")
    {
        Description = "Run although another lab is measuring, which disturbs both: for tests of the lab itself. Needs --socket-buffer 0.",
    };

    private static readonly Option<bool> _noPublish = new("--no-publish") { Description = "Measure the programs that are published already." };

    /// <summary>The command.</summary>
    public static Command Create()
    {
        _pinning.AcceptOnlyFromAmong("none", "hosts");
        var command = new Command("run", "Measures. Needs root; makes network namespaces, sends traffic only inside them, and removes everything it makes.")
        {
            _experiments, _subjects, _full, _repeat, _seconds, _seed, _json, _resume, _report, _pinning, _queue, _buffer, _beside, _noPublish,
        };
        command.SetAction((parsed, cancellation) => CommandErrors.GuardAsync(() => RunAsync(parsed, cancellation)));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        RefuseBesideResume(parsed);
        var resumed = parsed.GetValue(_resume) is { } old ? ResultFile.Read(old) : null;
        var settings = resumed?.Settings ?? Settings(parsed);
        var experiments = ExperimentCatalog.Parse(resumed?.Experiments ?? [.. parsed.GetValue(_experiments) ?? []]);
        string[] words = await SubjectWordsAsync(parsed, cancellation).ConfigureAwait(false);
        if (parsed.GetValue(_beside) && settings.SocketBuffer != 0)
        {
            throw new UsageException("--beside needs --socket-buffer 0: the size of socket buffers is the host's, and another lab may have set it");
        }

        Check();
        string? path = parsed.GetValue(_json) ?? parsed.GetValue(_resume) ?? (settings.Full ? FullName(DateTime.UtcNow, settings.Seed) : null);
        OutputCheck.Writable(path, parsed.GetValue(_report));
        using var alone = LabLock.Take(parsed.GetValue(_beside));
        await PrepareHostAsync(publish: !parsed.GetValue(_noPublish), cancellation).ConfigureAwait(false);
        var (subjects, missing) = await PresentAsync(resumed is null ? words : [.. resumed.Subjects], cancellation).ConfigureAwait(false);
        var now = new ResultFile
        {
            Started = DateTime.UtcNow,
            Machine = await MachineFacts.GatherAsync(subjects, cancellation).ConfigureAwait(false),
            Seed = settings.Seed,
            Settings = settings,
            Experiments = [.. experiments.Select(e => e.Name)],
            Subjects = [.. subjects.Select(s => s.Label)],
            Missing = missing,
        };
        if (resumed is not null)
        {
            RefuseOtherMachine(resumed, now, path!);
        }

        var results = resumed ?? now;
        await MeasureAsync(results, Runnable(experiments), subjects, path, cancellation).ConfigureAwait(false);
        ResultTables.Print(AnsiConsole.Console, results);
        if (parsed.GetValue(_report) is { } folder)
        {
            Report.Write([results], folder);
            AnsiConsole.MarkupLineInterpolated($"Report: {Path.Combine(folder, "report.html")}");
        }

        return results.Failures.Count == 0 ? 0 : 3;
    }

    // A wrong name is said before anything is built.
    private static async Task<string[]> SubjectWordsAsync(ParseResult parsed, CancellationToken cancellation)
    {
        string[] words = [.. (parsed.GetValue(_subjects) ?? []).SelectMany(word => word.Split(',', StringSplitOptions.RemoveEmptyEntries))];
        if (words.Length == 0 && parsed.GetResult(_subjects) is not null)
        {
            throw new UsageException("--subjects names none");
        }

        await SubjectCatalog.ParseAsync(words, cancellation).ConfigureAwait(false);
        return words;
    }

    private static async Task PrepareHostAsync(bool publish, CancellationToken cancellation)
    {
        if (publish)
        {
            await Published.PublishAsync(cancellation).ConfigureAwait(false);
        }

        if (!File.Exists(Published.Traffic))
        {
            throw new LabException($"the traffic program is not published: {Published.Command("bench/Espalier.Lab.Traffic")}");
        }

        foreach (string leftover in await Leftovers.RemoveAsync().ConfigureAwait(false))
        {
            Console.Error.WriteLine($"espalier-lab: removed what a dead lab left: {leftover}");
        }
    }

    private static void RefuseOtherMachine(ResultFile resumed, ResultFile now, string path)
    {
        if (now.Missing.Count > 0)
        {
            throw new LabException($"the run in {path} is with {string.Join(", ", now.Missing.Select(m => m.Subject))}, which is not here any more");
        }

        if (Report.Differences(resumed, now).ToArray() is { Length: > 0 } differences)
        {
            throw new LabException($"{path} is of another machine or other programs, and one run is not measured on two: {string.Join("; ", differences)}");
        }
    }

    private static async Task MeasureAsync(
        ResultFile results, List<Experiment> experiments, List<Subject> subjects, string? path, CancellationToken cancellation)
    {
        var run = new LabRun(results, experiments, subjects, path);
        var estimate = run.EstimateSeconds();
        SettingsTable.Print(results, subjects, experiments, estimate);
        if (path is not null)
        {
            AnsiConsole.MarkupLineInterpolated($"Results, after each turn: {path}");
        }

        try
        {
            await LabProgress.RunAsync(estimate.Quiet, progress => run.RunAsync(progress, cancellation)).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (path is not null && results.Done.Count > 0)
        {
            Console.Error.WriteLine($"espalier-lab: what was measured is in {path}; `run --resume {path}` does the rest");
            throw;
        }
    }

    // What a run measures and how is in its file.
    private static void RefuseBesideResume(ParseResult parsed)
    {
        bool Given(Symbol symbol) => symbol switch
        {
            Argument argument => parsed.GetResult(argument) is { Tokens.Count: > 0 },
            Option option => parsed.GetResult(option) is { Implicit: false },
            _ => false,
        };
        Symbol[] settled = [_experiments, _subjects, _full, _repeat, _seconds, _seed, _pinning, _queue, _buffer];
        if (parsed.GetValue(_resume) is not null && Array.Find(settled, Given) is { } surplus)
        {
            throw new UsageException($"--resume goes on with what its file says: {surplus.Name} cannot be given beside it");
        }
    }

    // Hours of measuring are not lost because nobody named a file.
    private static string FullName(DateTime now, int seed) => string.Create(CultureInfo.InvariantCulture, $"lab-{now:yyyy-MM-dd}-{seed}.json");

    private static LabSettings Settings(ParseResult parsed)
    {
        int seed = parsed.GetValue(_seed) ?? Random.Shared.Next(1, 1_000_000);
        var profile = parsed.GetValue(_full) ? LabSettings.FullProfile(seed) : LabSettings.ShortProfile(seed);
        double seconds = parsed.GetValue(_seconds) ?? profile.Seconds;
        int? repeat = parsed.GetValue(_repeat);
        if (repeat is < 1 or > 1000)
        {
            throw new UsageException("--repeat takes 1 to 1000");
        }

        if (parsed.GetValue(_queue) is < 1 or > 100_000 || parsed.GetValue(_buffer) is < 0 or > 1 << 30)
        {
            throw new UsageException("--queue-length takes 1 to 100000, --socket-buffer 0 to 1073741824");
        }

        return profile with
        {
            Repeat = repeat,
            Seconds = seconds,
            WarmUp = Math.Min(profile.WarmUp, seconds / 2),
            TrialSeconds = Math.Min(profile.TrialSeconds, seconds),
            ConfirmSeconds = Math.Min(profile.ConfirmSeconds, seconds),
            Resolution = seconds < 1 ? 2 : profile.Resolution, // too short for more
            QueueLength = parsed.GetValue(_queue),
            SocketBuffer = parsed.GetValue(_buffer),
            Pinning = parsed.GetValue(_pinning)!,
            EveryVariant = profile.EveryVariant || parsed.GetValue(_subjects) is { Length: > 0 },
        };
    }

    private static void Check()
    {
        if (!LabProcess.IsRoot)
        {
            throw new LabException("`run` needs root: it makes named network namespaces (`quick` does not)");
        }

        foreach (var (program, package) in ((string, string)[])[("ip", "iproute2"), ("ping", "iputils-ping"), ("taskset", "util-linux"), ("timeout", "coreutils")])
        {
            if (!Shell.Has(program))
            {
                throw new LabException($"{program} is missing: apt-get install {package}");
            }
        }

        if (Availability.WhatIsMissing() is { } missing)
        {
            throw new LabException(missing);
        }
    }

    private static async Task<(List<Subject>, List<MissingSubject>)> PresentAsync(IReadOnlyList<string> words, CancellationToken cancellation)
    {
        var present = new List<Subject>();
        var missing = new List<MissingSubject>();
        foreach (var subject in await SubjectCatalog.ParseAsync(words, cancellation).ConfigureAwait(false))
        {
            if (await subject.WhatIsMissingAsync(cancellation).ConfigureAwait(false) is { } what)
            {
                missing.Add(new MissingSubject(subject.Label, what));
                Console.Error.WriteLine($"espalier-lab: without {subject.Label}: {what}");
            }
            else
            {
                present.Add(subject);
            }
        }

        return present.Count > 0 ? (present, missing) : throw new LabException("none of the subjects is here");
    }

    private static List<Experiment> Runnable(IReadOnlyList<Experiment> experiments)
    {
        var runnable = new List<Experiment>();
        foreach (var experiment in experiments)
        {
            if (experiment.WhatIsMissing() is { } missing)
            {
                Console.Error.WriteLine($"espalier-lab: without {experiment.Name}: {missing}");
            }
            else
            {
                runnable.Add(experiment);
            }
        }

        return runnable;
    }
}
