using System.Text.Json.Nodes;
using Espalier.Lab.Measuring;
using Espalier.Lab.Results;
using Espalier.Lab.Subjects;

namespace Espalier.Lab.Experiments;

/// <summary>Resident memory over time, idle and under each load; the larger of the two daemons.</summary>
internal sealed class MemoryExperiment : Experiment
{
    private const double Pause = 1;

    /// <inheritdoc/>
    public override string Name => "memory";

    /// <inheritdoc/>
    public override string Claim => "C1, C6";

    /// <inheritdoc/>
    public override string Sentence => "It buffers each packet in memory.";

    /// <inheritdoc/>
    public override string Description => "resident memory of the daemons over time: idle, TCP, floods of 64-byte and 1,300-byte datagrams, and afterwards";

    /// <inheritdoc/>
    public override bool Applies(Subject subject) => subject.HasProcesses;

    /// <inheritdoc/>
    public override double EstimateSeconds(LabSettings settings, Subject subject) => (4 * (settings.Seconds + Pause)) + 4;

    /// <inheritdoc/>
    public override async Task RunAsync(Trial trial, CancellationToken cancellation)
    {
        double seconds = trial.Settings.Seconds;
        await trial.Loads.UdpAsync(1300, 2000, 1).ConfigureAwait(false); // pools touched
        await using var memory = new ResidentMemory(trial.Processes, ResidentMemory.Limit, trial.Subject.Kill);
        (string Name, Func<Task> Load)[] loads =
        [
            ("idle", () => Task.Delay(TimeSpan.FromSeconds(Pause), cancellation)),
            ("TCP", () => trial.Loads.TcpAsync(1, false, 0, seconds)),
            ("UDP flood, 64 B", () => trial.Loads.UdpAsync(64, 0, seconds)),
            ("UDP flood, 1300 B", () => trial.Loads.UdpAsync(1300, 0, seconds)),
            ("afterwards", () => Task.Delay(TimeSpan.FromSeconds(Pause), cancellation)),
        ];
        double idle = 0;
        var phases = new JsonArray();
        long? collections = await CollectionsAsync(trial, cancellation).ConfigureAwait(false);
        foreach (var (name, load) in loads)
        {
            var (soFar, _) = memory.Samples;
            phases.Add(new JsonObject { ["name"] = name, ["from"] = soFar.LastOrDefault() });
            await load().ConfigureAwait(false);
            double peak = memory.Samples.Bytes[soFar.Length..].DefaultIfEmpty(0).Max();
            idle = name == "idle" ? peak : idle;
            trial.Record($"{name}, peak", "MB", peak / 1e6, ("stoppedAtLimit", memory.StoppedAtLimit), ("limitBytes", ResidentMemory.Limit));
            if (name != "idle" && idle > 0)
            {
                trial.Record($"{name}, peak over idle", "ratio", peak / idle);
            }

            long? collectionsNow = await CollectionsAsync(trial, cancellation).ConfigureAwait(false);
            if (collectionsNow - collections is { } more)
            {
                trial.Record($"{name}, collections", "collections", more);
            }

            collections = collectionsNow;
            if (memory.StoppedAtLimit)
            {
                trial.Fail($"stopped at {ResidentMemory.Limit / 1e9:0.0} GB of resident memory under {name}");
                break;
            }

            await Task.Delay(TimeSpan.FromSeconds(name == "idle" ? 0 : Pause), cancellation).ConfigureAwait(false);
        }

        var (times, bytes) = memory.Samples;
        trial.RecordSeries("over time", "MB", new Axis("time", "s", times), [.. bytes.Select(b => b / 1e6)], ("phases", phases));
    }

    /// <summary>Garbage collections of both daemons so far, of all generations; null where a daemon does not say.</summary>
    private static async Task<long?> CollectionsAsync(Trial trial, CancellationToken cancellation)
    {
        long? sum = 0;
        foreach (var host in trial.Bed.Hosts)
        {
            var stat = trial.Subject is EspalierSubject espalier ? await espalier.StatAsync(host, cancellation).ConfigureAwait(false) : null;
            sum += (long?)stat?["runtime"]?["collections"];
        }

        return sum;
    }
}
