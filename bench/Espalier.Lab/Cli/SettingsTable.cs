using System.Globalization;
using Espalier.Lab.Experiments;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;
using Spectre.Console;

namespace Espalier.Lab.Cli;

/// <summary>What is the same for every subject, said before a run.</summary>
internal static class SettingsTable
{
    private const double BusyShare = 0.5, WorthSaying = 1.1;

    /// <summary>Prints it.</summary>
    public static void Print(ResultFile results, IReadOnlyList<Subject> subjects, IReadOnlyList<Experiment> experiments, (double Quiet, double Restless) estimate)
    {
        var s = results.Settings;
        string buffers = s.SocketBuffer == 0 ? "as on this host" : string.Create(CultureInfo.InvariantCulture, $"{s.SocketBuffer:N0} bytes by default");
        AnsiConsole.MarkupLineInterpolated($"Subjects: {string.Join(", ", subjects.Select(x => x.Label))}");
        string restless = estimate.Restless > estimate.Quiet * WorthSaying
            ? $", to {LabProgress.Words(estimate.Restless)} on a restless machine, where rates are hard to confirm" : "";
        AnsiConsole.MarkupLineInterpolated($"Experiments: {string.Join(", ", experiments.Select(x => x.Name))}; about {LabProgress.Words(estimate.Quiet)}{restless}");
        AnsiConsole.MarkupLineInterpolated(
            $"For every subject: loads of {s.Seconds} s after {s.WarmUp} s, queues of {s.QueueLength} packets, socket buffers {buffers}, pinning {s.Pinning}, order by seed {s.Seed}");
        double load = double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture);
        if (load > Environment.ProcessorCount * BusyShare)
        {
            AnsiConsole.MarkupLineInterpolated($"[yellow]This machine is busy (load {load}): what is measured now, processor time above all, says little.[/]");
        }
    }
}
