using System.Diagnostics;
using Spectre.Console;

namespace Espalier.Lab.Cli;

/// <summary>Progress by estimated seconds: a bar with the time left on a terminal, a line a step on anything else.</summary>
internal sealed class LabProgress
{
    private readonly ProgressTask? _bar;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly double _total;
    private double _done, _step, _began;
    private string _text = "";

    private LabProgress(double total, ProgressTask? bar) => (_total, _bar) = (total, bar);

    /// <summary>Runs work under a progress display.</summary>
    public static async Task RunAsync(double totalSeconds, Func<LabProgress, Task> work)
    {
        if (!AnsiConsole.Profile.Capabilities.Interactive || Console.IsOutputRedirected)
        {
            await work(new LabProgress(totalSeconds, null)).ConfigureAwait(false);
            return;
        }

        await AnsiConsole.Progress().AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new SpinnerColumn())
            .StartAsync(async context =>
            {
                var progress = new LabProgress(totalSeconds, context.AddTask("…", maxValue: totalSeconds));
                await using var tick = new Timer(_ => progress.Show(), null, TimeSpan.Zero, TimeSpan.FromSeconds(1));
                await work(progress).ConfigureAwait(false);
            }).ConfigureAwait(false);
    }

    /// <summary>A step begins that should take about so long.</summary>
    public void Begin(string step, double seconds)
    {
        (_step, _text, _began) = (seconds, step, _clock.Elapsed.TotalSeconds);
        if (_bar is null)
        {
            Console.Error.WriteLine($"espalier-lab: {step}, {Left(0)} left");
        }
        else
        {
            Show();
        }
    }

    /// <summary>The step before, if there was one, has ended, and another begins.</summary>
    public void Next(string step, double seconds)
    {
        End();
        Begin(step, seconds);
    }

    // Within a step by the clock, as far as its estimate goes.
    private void Show()
    {
        if (_text.Length == 0)
        {
            return;
        }

        double inStep = Math.Min(_clock.Elapsed.TotalSeconds - _began, _step);
        _bar?.Description = Markup.Escape($"{_text}, {Left(inStep)} left");
        _bar?.Value = _done + inStep;
    }

    /// <summary>The step has ended.</summary>
    public void End()
    {
        _done += _step;
        _step = 0;
        _bar?.Value = _done;
    }

    /// <summary>Seconds in words.</summary>
    public static string Words(double seconds) => seconds switch
    {
        < 90 => $"{Math.Max(1, seconds):0} s",
        < 5400 => $"{seconds / 60:0} min",
        _ => $"{seconds / 3600:0.0} h",
    };

    /// <summary>
    /// Seconds left of <paramref name="total"/> after those that were estimated for the steps done took <paramref name="elapsed"/>. The estimate is corrected by that pace, as far as
    /// the steps say something: a tenth of all keeps its weight, so that a short first step does not decide.
    /// </summary>
    public static double SecondsLeft(double total, double done, double elapsed)
    {
        const double kept = 0.1;
        return (total - done) * (elapsed + (kept * total)) / (done + (kept * total));
    }

    private string Left(double inStep) => Words(SecondsLeft(_total, _done, _began) - inStep);
}
