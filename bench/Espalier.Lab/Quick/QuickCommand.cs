using System.CommandLine;
using System.Diagnostics;
using Espalier.Lab.Hosts;
using Spectre.Console;

namespace Espalier.Lab.Quick;

/// <summary>`quick`: the tour, in namespaces where they are to be had, in one process where not.</summary>
internal static class QuickCommand
{
    private const string Inside = "ESPALIER_LAB_INSIDE";

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var seconds = Cli.Seconds.Option("How long each load lasts, 5 without it", 0.2, 60);
        var daemon = new Option<string?>("--daemon")
        {
            Description = "The espalier program to run instead of the one built with the lab, for example artifacts/publish/Espalier/release/espalier.",
        };
        var inProcess = new Option<bool>("--in-process")
        {
            Description = "Run the pipeline in this process over memory devices and UDP on loopback, as on a machine without TUN or namespaces.",
        };
        var command = new Command(
            "quick", "Two hosts, a tunnel, real traffic: what Espalier does on this machine, in about a minute. Needs neither root nor other programs than util-linux.")
        {
            seconds, daemon, inProcess,
        };
        command.SetAction(result => RunAsync(result.GetValue(seconds) ?? 5, result.GetValue(daemon), result.GetValue(inProcess)));
        return command;
    }

    private static async Task<int> RunAsync(double seconds, string? daemon, bool inProcess)
    {
        try
        {
            if (Environment.GetEnvironmentVariable(Inside) is not null)
            {
                return await TourAsync(seconds, daemon).ConfigureAwait(false);
            }

            string? missing = inProcess ? "asked for by --in-process" : Availability.WhatIsMissing();
            if (missing is null)
            {
                return EnterNamespace();
            }

            AnsiConsole.MarkupLineInterpolated($"[yellow]In one process, over memory devices and UDP on loopback[/]: {missing}");
            QuickReport.Print(AnsiConsole.Console, await InProcess.InProcessTour.RunAsync(seconds).ConfigureAwait(false), jit: true);
            return 0;
        }
        catch (LabException exception)
        {
            Console.Error.WriteLine($"espalier-lab: {exception.Message}");
            return 1;
        }
    }

    private static async Task<int> TourAsync(double seconds, string? daemon)
    {
        string path = daemon ?? LabProcess.Daemon;
        if (!File.Exists(path))
        {
            throw new LabException($"there is no daemon at {path}");
        }

        var findings = await AnsiConsole.Status().StartAsync("…", status => QuickTour.RunAsync(Path.GetFullPath(path), seconds, status)).ConfigureAwait(false);
        QuickReport.Print(AnsiConsole.Console, findings, jit: daemon is null);
        return 0;
    }

    /// <summary>
    /// Runs this program again in a namespace of its own: a process of several threads, as every .NET process is, cannot unshare its user namespace.
    /// </summary>
    private static int EnterNamespace()
    {
        var start = new ProcessStartInfo("unshare");
        foreach (string argument in (string[])[.. Availability.Unshare, .. LabProcess.Self, .. Environment.GetCommandLineArgs().Skip(1)])
        {
            start.ArgumentList.Add(argument);
        }

        start.Environment[Inside] = "1";
        Console.CancelKeyPress += (_, pressed) => pressed.Cancel = true; // the child gets it too, and ends first
        using var process = Process.Start(start) ?? throw new LabException("unshare (util-linux) could not be started");
        process.WaitForExit();
        return process.ExitCode;
    }
}
