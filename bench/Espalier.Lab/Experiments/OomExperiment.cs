using System.Diagnostics;
using Espalier.Lab.Hosts;
using Espalier.Lab.Measuring;
using Espalier.Lab.Net;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>A flood against a daemon with little memory and little processor time.</summary>
internal sealed class OomExperiment : Experiment
{
    private const long Mebibyte = 1 << 20;
    private static readonly TimeSpan _comeBack = TimeSpan.FromSeconds(20);

    /// <inheritdoc/>
    public override string Name => "oom";

    /// <inheritdoc/>
    public override string Claim => "C2, C3";

    /// <inheritdoc/>
    public override string Sentence => "With too little processor it runs out of memory, and that crashes the charon daemon.";

    /// <inheritdoc/>
    public override string Description => "a flood against a daemon in a memory cgroup with a processor quota: time until the OOM killer ends it or survival, whether IKE answers, how long until the tunnel works again";

    /// <inheritdoc/>
    public override bool StartsSubject => false;

    /// <inheritdoc/>
    public override int Repeat(LabSettings settings) => settings.Full ? 3 : 1;

    /// <inheritdoc/>
    public override bool Applies(Subject subject) => subject.HasProcesses && subject.Name != "ceiling";

    /// <inheritdoc/>
    public override string? WhatIsMissing() => Cage.WhatIsMissing();

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) => Cages(settings).Count() * (Length(settings) + 6);

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        foreach (var (mebibytes, percent) in Cages(trial.Settings))
        {
            try
            {
                await FloodAsync(trial, mebibytes, percent, cancellation).ConfigureAwait(false);
            }
            catch (LabException exception)
            {
                trial.Fail($"{mebibytes} MiB, {percent} % of a processor: {exception.Message}");
            }
            finally
            {
                await trial.Subject.StopAsync().ConfigureAwait(false);
            }
        }
    }

    private static async Task FloodAsync(Trial trial, long mebibytes, int percent, CancellationToken cancellation)
    {
        string name = $"{mebibytes} MiB, {percent} %";
        await using var cage = Cage.Create($"oom-{trial.Subject.Name}-{trial.Alternation}-{mebibytes}-{percent}", mebibytes * Mebibyte, percent / 100.0);
        await using var bed = await Testbed.CreateAsync(trial.Settings, cancellation).ConfigureAwait(false);
        await trial.Subject.StartAsync(bed, new StartOptions(cage), cancellation).ConfigureAwait(false);
        await bed.EqualiseQueuesAsync(trial.Settings.QueueLength, cancellation).ConfigureAwait(false);
        int process = trial.Subject.ProcessId(bed.Moon) ?? throw new LabException("moon's daemon has ended before the flood");

        await using var memory = new ResidentMemory(() => [process], ResidentMemory.Limit, trial.Subject.Kill);
        var clock = Stopwatch.StartNew();
        double ended = double.PositiveInfinity;
        var flood = new Loads(bed, TimeSpan.FromSeconds(trial.Settings.Grace), cancellation).UdpAsync(1300, 0, Length(trial.Settings));
        while (!flood.IsCompleted)
        {
            if (double.IsPositiveInfinity(ended) && (cage.OutOfMemoryKills() > 0 || trial.Subject.ProcessId(bed.Moon) is null))
            {
                ended = clock.Elapsed.TotalSeconds;
            }

            await Task.Delay(20, cancellation).ConfigureAwait(false);
        }

        var sent = (await flood.ConfigureAwait(false)).Sent;
        var (times, bytes) = memory.Samples;
        double killed = cage.OutOfMemoryKills();
        trial.Record($"{name}: until the OOM killer", "s", killed > 0 ? Math.Min(ended, clock.Elapsed.TotalSeconds) : double.PositiveInfinity, ("memoryMiB", mebibytes), ("processorPercent", percent), ("floodSeconds", Length(trial.Settings)), ("kills", killed));
        trial.Record($"{name}: flood offered", "packets/s", sent.Packets / sent.Seconds, ("payloadBytes", 1300));
        trial.Record($"{name}: tunnel works again after", "s", await ComesBackAsync(trial, bed, cancellation).ConfigureAwait(false), ("limitSeconds", _comeBack.TotalSeconds));
        if (await trial.Subject.ControlAnswersAsync(bed, cancellation).ConfigureAwait(false) is { } answers)
        {
            trial.Record($"{name}: control answers", "yes=1", answers ? 1 : 0);
        }

        trial.RecordSeries($"{name}: memory", "MB", new Axis("time", "s", times), [.. bytes.Select(b => b / 1e6)], ("limitMB", mebibytes * Mebibyte / 1e6), ("killedAt", double.IsFinite(ended) ? ended : null));
    }

    // Nobody restarts the daemon here: one that was killed does not come back.
    private static async Task<double> ComesBackAsync(Trial trial, Testbed bed, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        while (trial.Subject.ProcessId(bed.Moon) is not null && clock.Elapsed < _comeBack)
        {
            if (await bed.Moon.AnswersAsync(bed.Sun, cancellation).ConfigureAwait(false))
            {
                return clock.Elapsed.TotalSeconds;
            }
        }

        return double.PositiveInfinity;
    }

    private static double Length(LabSettings settings) => settings.Full ? 20 : settings.Seconds < 1 ? 1 : 10;

    private static IEnumerable<(long Mebibytes, int Percent)> Cages(LabSettings settings) => settings.Full
        ? from mebibytes in (long[])[64, 128, 256, 512] from percent in (int[])[20, 50, 100] select (mebibytes, percent)
        : [(64, 100), (128, 20), (128, 100)];
}
