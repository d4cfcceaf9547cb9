using System.CommandLine;
using System.Diagnostics;
using Espalier.Lab.Cli;
using Espalier.Lab.Hosts;
using Espalier.Lab.InProcess;
using Spectre.Console;

namespace Espalier.Lab.Quick;

/// <summary>`quick`: the tour, in namespaces where they are to be had, in one process where not.</summary>
internal static class QuickCommand
{
    private const string Inside = "ESPALIER_LAB_INSIDE";
    private static readonly TimeSpan _interruption = TimeSpan.FromSeconds(0.3);

    /// <summary>The command.</summary>
    public static Command Create()
    {
        var seconds = Seconds.Option("How long each load lasts, 5 without it", 0.2, 60);
        var daemon = new Option<string?>("--daemon")
        {
            Description = "The espalier program to run instead of the one built with the lab, for example artifacts/publish/Espalier/release/espalier.",
        };
        var inProcess = new Option<bool>("--in-process")
        {
            Description = "Run the pipeline in this process over socket pairs and UDP on loopback, as on a machine without TUN or namespaces.",
        };
        var command = new Command(
            "quick", "Two hosts, a tunnel, real traffic: what Espalier does on this machine, in about a minute. Needs neither root nor other programs than util-linux.")
        {
            seconds, daemon, inProcess,
        };
        command.SetAction((result, cancellation) => CommandErrors.GuardAsync(() => RunAsync(result.GetValue(seconds) ?? 5, result.GetValue(daemon), result.GetValue(inProcess), cancellation)));
        return command;
    }

    private static async Task<int> RunAsync(double seconds, string? daemon, bool inProcess, CancellationToken cancellation)
    {
        if (Environment.GetEnvironmentVariable(Inside) is not null)
        {
            return await TourAsync(seconds, daemon, cancellation).ConfigureAwait(false);
        }

        string? missing = inProcess ? "asked for by --in-process" : Availability.WhatIsMissing();
        if (missing is null)
        {
            return EnterNamespace();
        }

        AnsiConsole.MarkupLineInterpolated($"[yellow]In one process, over socket pairs and UDP on loopback[/]: {missing}");
        QuickFindings? findings = null;
        await LabProgress.RunAsync(
            InProcessTour.EstimateSeconds(seconds),
            async progress => findings = await InProcessTour.RunAsync(seconds, progress).WaitAsync(cancellation).ConfigureAwait(false)).ConfigureAwait(false);
        QuickReport.Print(AnsiConsole.Console, findings!, jit: true);
        return 0;
    }

    private static async Task<int> TourAsync(double seconds, string? daemon, CancellationToken cancellation)
    {
        string path = daemon ?? LabProcess.Daemon;
        if (!File.Exists(path))
        {
            throw new LabException($"there is no daemon at {path}");
        }

        QuickFindings? findings = null;
        try
        {
            await LabProgress.RunAsync(
                QuickTour.EstimateSeconds(seconds),
                async progress => findings = await QuickTour.RunAsync(Path.GetFullPath(path), seconds, progress, cancellation).ConfigureAwait(false)).ConfigureAwait(false);
        }
        catch (LabException)
        {
            // A terminal sends Ctrl-C to the daemons too: what fails because they have ended is no failure.
            await Task.Delay(_interruption, cancellation).ConfigureAwait(false);
            throw;
        }

        QuickReport.Print(AnsiConsole.Console, findings!, jit: daemon is null);
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
