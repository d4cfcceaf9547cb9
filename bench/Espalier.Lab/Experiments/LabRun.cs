using Espalier.Lab.Cli;
using Espalier.Lab.Hosts;
using Espalier.Lab.Measuring;
using Espalier.Lab.Net;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>
/// Runs experiments: for each, alternations in which every subject has its turn, in an order drawn anew. The alternations of all experiments are spread
/// over the whole run, so that the spread within a run holds what the machine does slowly, and two runs can be compared by it. Each turn has a new bed
/// and a new start of the subject, so that nothing is left of the one before. Results are written after each turn, ratios when all ends.
/// </summary>
internal sealed class LabRun(ResultFile results, IReadOnlyList<Experiment> experiments, IReadOnlyList<Subject> subjects, string? path)
{
    private const double StartSeconds = 1.5, IdleSeconds = 1, SettleSeconds = 0.3;

    /// <summary>One turn.</summary>
    private sealed record Turn(Experiment Experiment, int Alternation, Subject Subject)
    {
        public string Key => $"{Experiment.Name}/{Alternation}/{Subject.Label}";
    }

    /// <summary>Estimate in seconds of what is not done yet, on a quiet machine and on a restless one.</summary>
    public (double Quiet, double Restless) EstimateSeconds()
    {
        Turn[] left = [.. Turns().Where(turn => !results.Done.Contains(turn.Key))];
        double quiet = left.Sum(Estimate);
        return (quiet, quiet + left.Sum(turn => turn.Experiment.RestlessSeconds(results.Settings, turn.Subject)));
    }

    /// <summary>Runs all that is not done yet.</summary>
    public async Task RunAsync(LabProgress progress, CancellationToken cancellation)
    {
        results.SetRatios(known: false);
        try
        {
            await RunTurnsAsync(progress, cancellation).ConfigureAwait(false);
        }
        finally
        {
            results.SetRatios(known: true);
            Save();
        }
    }

    private async Task RunTurnsAsync(LabProgress progress, CancellationToken cancellation)
    {
        using var defaults = SocketDefaults.Set(results.Settings.SocketBuffer);
        foreach (var turn in Turns().Where(turn => !results.Done.Contains(turn.Key)).ToArray())
        {
            cancellation.ThrowIfCancellationRequested();
            progress.Begin($"{turn.Experiment.Name} {turn.Alternation + 1}/{Repeat(turn.Experiment)} {turn.Subject.Label}", Estimate(turn));
            await RunAsync(turn, cancellation).ConfigureAwait(false);
            results.Done.Add(turn.Key);
            Save();
            progress.End();
        }
    }

    private void Save()
    {
        if (path is not null)
        {
            results.Write(path);
        }
    }

    private static double Estimate(Turn turn, LabSettings settings) =>
        turn.Experiment.EstimateSeconds(settings, turn.Subject) + (turn.Experiment.StartsSubject ? StartSeconds + IdleSeconds : 0);

    private double Estimate(Turn turn) => Estimate(turn, results.Settings);

    private int Repeat(Experiment experiment) => results.Settings.Repeat ?? experiment.Repeat(results.Settings);

    // An alternation stands where its middle falls, if those of its experiment share the run evenly; the order is kept where two fall together.
    private IEnumerable<Turn> Turns() => experiments.SelectMany(Turns).OrderBy(turn => (turn.Alternation + 0.5) / Repeat(turn.Experiment));

    private IEnumerable<Turn> Turns(Experiment experiment)
    {
        var random = new Random(results.Seed + Array.IndexOf(ExperimentCatalog.All, experiment)); // not the same subject first in all
        Subject[] order = [.. Taking(experiment)];
        for (int alternation = 0; alternation < Repeat(experiment); alternation++)
        {
            random.Shuffle(order);
            foreach (var subject in order)
            {
                yield return new Turn(experiment, alternation, subject);
            }
        }
    }

    private IEnumerable<Subject> Taking(Experiment experiment)
    {
        var taking = subjects.Where(experiment.Applies);
        return (results.Settings.EveryVariant ? Variants.All : experiment.Tells) switch
        {
            Variants.First => taking.DistinctBy(subject => subject.Name),
            Variants.Main => taking.Where(subject => subject.IsMain),
            _ => taking,
        };
    }

    private async Task RunAsync(Turn turn, CancellationToken cancellation)
    {
        results.Forget(turn.Experiment.Name, turn.Subject.Name, turn.Subject.Variant, turn.Alternation);
        await using var bed = await Testbed.CreateAsync(results.Settings, cancellation).ConfigureAwait(false);
        var trial = new Trial(results, turn.Experiment.Name, turn.Alternation, turn.Subject, bed, cancellation);
        try
        {
            if (turn.Experiment.StartsSubject)
            {
                await turn.Subject.StartAsync(bed, new StartOptions(), cancellation).ConfigureAwait(false);
                await SettleAsync(trial, cancellation).ConfigureAwait(false);
            }

            await turn.Experiment.RunAsync(trial, cancellation).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is LabException or IOException or UnauthorizedAccessException)
        {
            string died = turn.Experiment.StartsSubject && turn.Subject.HasProcesses && trial.Processes().Count() < 2 ? " (a daemon has ended)" : "";
            trial.Fail(exception.Message + died);
        }
        finally
        {
            await turn.Subject.StopAsync().ConfigureAwait(false);
        }
    }

    private async Task SettleAsync(Trial trial, CancellationToken cancellation)
    {
        int length = results.Settings.QueueLength;
        var (device, mtu) = await trial.Bed.EqualiseQueuesAsync(length, cancellation).ConfigureAwait(false);
        trial.Setting["device"] = device;
        trial.Setting["mtu"] = mtu;
        trial.Setting["txqueuelen"] = length;
        trial.Setting["receiveBuffers"] = await ReceiveBuffersAsync(trial.Bed.Sun, cancellation).ConfigureAwait(false);
        await Task.Delay(TimeSpan.FromSeconds(SettleSeconds), cancellation).ConfigureAwait(false);
        double idle = results.Settings.Seconds < IdleSeconds ? results.Settings.Seconds : IdleSeconds;
        trial.IdleTicks = await ProcessorTime.BaselineAsync(idle, cancellation).ConfigureAwait(false);
    }

    // What the UDP sockets of the subject really have: programs ask for what they like.
    private static async Task<string> ReceiveBuffersAsync(NetHost host, CancellationToken cancellation)
    {
        if (!Shell.Has("ss"))
        {
            return "unknown: no ss here";
        }

        var sockets = await Shell.TryAsync(host.Command("ss", "-uanmH"), cancellation).ConfigureAwait(false);
        var sizes = sockets.Output.Split(',', '(').Where(part => part.StartsWith("rb", StringComparison.Ordinal)).Select(part => part[2..]).Distinct();
        return string.Join(' ', sizes);
    }
}
