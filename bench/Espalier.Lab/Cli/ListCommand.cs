using System.CommandLine;
using Espalier.Lab.Experiments;
using Espalier.Lab.Hosts;
using Espalier.Lab.Subjects;
using Spectre.Console;

namespace Espalier.Lab.Cli;

/// <summary>`list`: what there is to measure, and what is missing here.</summary>
internal static class ListCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var command = new Command("list", "Says which experiments and subjects there are, and what is missing here.");
        command.SetAction((_, cancellation) => CommandErrors.GuardAsync(() => RunAsync(cancellation)));
        return command;
    }

    private static async Task<int> RunAsync(CancellationToken cancellation)
    {
        var experiments = new Table().RoundedBorder().AddColumns("experiment", "claim", "what it does and shows");
        foreach (var experiment in ExperimentCatalog.All)
        {
            experiments.AddRow(experiment.Name, experiment.Claim, Markup.Escape(experiment.Description + (experiment.WhatIsMissing() is { } missing ? $" [not here: {missing}]" : "")));
        }

        AnsiConsole.Write(experiments);
        var subjects = new Table().RoundedBorder().AddColumns("subject", "here");
        var unasked = await SubjectCatalog.ParseAsync([], cancellation).ConfigureAwait(false);
        foreach (var subject in unasked.Append(new EspalierSubject(EspalierSubject.Jit)))
        {
            string? missing = subject is XfrmSubject && !LabProcess.IsRoot ? "found only by trying, as root" : await subject.WhatIsMissingAsync(cancellation).ConfigureAwait(false);
            subjects.AddRow(Markup.Escape(subject.Label), Markup.Escape(missing ?? (unasked.Contains(subject) ? "yes" : "yes; takes part only where --subjects names it")));
        }

        AnsiConsole.Write(subjects);
        return 0;
    }
}
