using System.CommandLine;
using Espalier.Lab.Reporting;
using Espalier.Lab.Results;
using Spectre.Console;

namespace Espalier.Lab.Cli;

/// <summary>`report`: draws saved results again.</summary>
internal static class ReportCommand
{
    /// <summary>The command.</summary>
    public static Command Create()
    {
        var files = new Argument<string[]>("FILE") { Description = "Result files; where two have the same measurement, the later one counts.", Arity = ArgumentArity.OneOrMore };
        var folder = new Option<string>("--out") { Description = "Folder for report.html, report.md and figures/.", Required = true };
        var into = new Option<string?>("--into") { Description = "Markdown document whose places <!-- lab:C1 --> … <!-- /lab --> are filled with verdicts, pictures and tables." };
        var command = new Command("report", "Writes the report of saved results, as one HTML page and as Markdown.") { files, folder, into };
        command.SetAction((parsed, _) => CommandErrors.GuardAsync(() =>
        {
            OutputCheck.Writable(null, parsed.GetValue(folder));
            ResultFile[] results = [.. parsed.GetValue(files)!.Select(ResultFile.Read)];
            Report.Write(results, parsed.GetValue(folder)!);
            if (parsed.GetValue(into) is { } document)
            {
                OutputCheck.Exists(document);
                Report.Fill(results, document, parsed.GetValue(folder)!);
            }

            AnsiConsole.MarkupLineInterpolated($"Report: {Path.Combine(parsed.GetValue(folder)!, "report.html")}");
            return Task.FromResult(0);
        }));
        return command;
    }
}
